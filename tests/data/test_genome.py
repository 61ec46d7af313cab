"""A FASTA file as a genome: any form of it read alike, and what it must refuse."""

import errno
import gzip
import os
import pickle
import shutil
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest

from data import fasta
from data.genome import Genome
from data.intervals import Interval

ONE = "ACGTTGCAACGNNacgtRYACGGTTAACCAG"
TWO = "GGGTTTCCA"


def written(path: Path, *, width: int = 10, end: str = "\n") -> Path:
    lines = [">one some words", *(ONE[i : i + width] for i in range(0, len(ONE), width))]
    lines += [">2", *(TWO[i : i + width] for i in range(0, len(TWO), width))]
    path.write_bytes((end.join(lines) + end).encode())
    return path


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TITANS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "genomes"


@pytest.mark.parametrize("width", [1 + len(ONE), 10, 7, 3])
@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["unix", "dos"])
def test_every_stretch_is_what_it_says(tmp_path: Path, width: int, end: str) -> None:
    genome = Genome(written(tmp_path / "some.fa", width=width, end=end))
    assert genome.lengths == {"one": len(ONE), "2": len(TWO)}
    whole = ONE.upper().replace("R", "N").replace("Y", "N")
    for start in range(len(ONE)):
        for stop in range(start + 1, len(ONE) + 1):
            assert genome.letters(Interval("one", start, stop)) == whole[start:stop]


def test_the_other_strand_is_read_backwards(tmp_path: Path) -> None:
    genome = Genome(written(tmp_path / "some.fa"))
    assert genome.letters(Interval("one", 8, 14, "-")) == "TNNCGT"


def test_a_contig_is_found_under_both_of_its_names(tmp_path: Path) -> None:
    genome = Genome(written(tmp_path / "some.fa"))
    assert genome.letters(Interval("chr2", 0, 4)) == genome.letters(Interval("2", 0, 4)) == "GGGT"


def test_a_window_of_a_chromosome_has_its_positions(tmp_path: Path) -> None:
    path = written(tmp_path / "some.fa")
    genome = Genome(path, offsets={"chrone": 1000})
    assert genome.letters(Interval("one", 1001, 1004)) == "CGT"
    assert genome.contigs[0] == Interval("one", 1000, 1000 + len(ONE))
    with pytest.raises(ValueError, match=r"goes from 1000 to 1031"):
        genome.tokens(Interval("one", 999, 1004))
    with pytest.raises(ValueError, match="three"):
        Genome(path, offsets={"three": 1})


@pytest.mark.parametrize("members", [1, 3])
def test_gzip_is_decompressed_once_into_the_cache(
    tmp_path: Path, cache: Path, members: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = written(tmp_path / "some.fa").read_bytes()
    third = len(content) // members
    # bgzip's files are many gzips, one behind the other.
    parts = [content[i * third : (i + 1) * third] for i in range(members - 1)]
    parts.append(content[(members - 1) * third :])
    packed = tmp_path / "some.fa.gz"
    packed.write_bytes(b"".join(map(gzip.compress, parts)))
    assert Genome(packed).letters(Interval("one", 0, 8)) == "ACGTTGCA"
    assert len(list(cache.glob("*.fa"))) == 1
    monkeypatch.setattr(fasta, "_decompress", None)
    monkeypatch.setattr(fasta, "_check", None)
    assert Genome(packed).letters(Interval("one", 0, 8)) == "ACGTTGCA"


def test_nothing_is_written_beside_the_file(tmp_path: Path) -> None:
    folder = tmp_path / "theirs"
    folder.mkdir()
    path = written(folder / "some.fa")
    Genome(path)
    assert list(folder.iterdir()) == [path]


@pytest.mark.fault("a genome that changed since its index", "indexed anew")
def test_the_index_follows_the_file(tmp_path: Path) -> None:
    path = written(tmp_path / "some.fa")
    facts = path.stat()
    Genome(path)
    path.write_text(">one\nTTTT\n>two\nAC\n", encoding="ascii")
    # Older than its index, as a file that was unpacked is.
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns - 10**12))
    assert Genome(path).lengths == {"one": 4, "two": 2}


@pytest.mark.fault("an index of a genome that was cut", "indexed anew")
@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["unix", "dos"])
def test_an_index_that_was_cut_is_made_anew(
    tmp_path: Path, cache: Path, end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path / "some.fa", end=end)
    whole = Genome(path).lengths
    (index,) = cache.glob("*.fai")
    content = index.read_bytes()
    for size in range(len(content)):
        index.write_bytes(content[:size])
        assert Genome(path).lengths == whole
        assert index.read_bytes() == content
    monkeypatch.setattr(fasta, "_check", None)
    assert Genome(path).lengths == whole, "a whole one is kept"


@pytest.mark.parametrize(
    "content",
    [b">one\nAC", b">one\nACG\nACG", b">one\nACG\nA\n", b">one\nACG\n\n", b">one\nAC\n>none\n"],
)
def test_an_index_is_kept_however_the_file_ends(
    tmp_path: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "some.fa"
    path.write_bytes(content)
    whole = Genome(path).lengths
    monkeypatch.setattr(fasta, "_check", None)
    assert Genome(path).lengths == whole


def test_another_process_opens_the_file_anew(tmp_path: Path) -> None:
    genome = Genome(written(tmp_path / "some.fa"))
    again = pickle.loads(pickle.dumps(genome))
    assert again.letters(Interval("one", 0, 4)) == "ACGT"
    handle = genome.file
    genome.process = -1
    assert genome.letters(Interval("one", 0, 4)) == "ACGT"
    assert genome.file is not handle


@pytest.mark.fault(
    "a data file that is empty, truncated or of another encoding", "refused by name and line"
)
@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"", ["no sequence"]),
        (b"ACGT\n", ["line 1", ">NAME"]),
        (b"\n\x00\x01\n>one\nAC\n", ["line 2", ">NAME"]),
        (b">one\nACGT\nAC-T\n", ["line 3", "'-'"]),
        (b">one\nMKVLA\n", ["line 2", "'L'"]),
        (b">one\nAC\n>one\nAC\n", ["line 3", "one"]),
        (b">one\nAC\n>\nAC\n", ["line 3", "no name"]),
        (b">one\nACGT\nAC\nACGT\n", ["line 3"]),
        (b">one\nACGT\n\nACGT\n", ["line 3"]),
        (b">on\xff\nACGT\n", ["line 1"]),
        (b"\xef\xbb\xbf>one\nACGT\n", ["line 1", "byte-order mark", "take it away"]),
        (">one\nACGT\n".encode("utf-16"), ["line 1", "UTF-16", "make it UTF-8"]),
    ],
    ids=str,
)
def test_what_is_no_fasta_is_refused_at_its_line(
    tmp_path: Path, cache: Path, content: bytes, named: list[str]
) -> None:
    path = tmp_path / "some.fa"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"some\.fa") as refused:
        Genome(path)
    assert all(text in str(refused.value) for text in named), refused.value
    assert not cache.exists() or not list(cache.iterdir())


@pytest.mark.fault(
    "a data file that is empty, truncated or of another encoding", "refused by name and line"
)
def test_a_truncated_gzip_is_refused_and_leaves_nothing(tmp_path: Path, cache: Path) -> None:
    whole = gzip.compress(written(tmp_path / "some.fa").read_bytes())
    for name, content in {"half": whole[:-30], "broken": whole[:20] + b"\0" * 40}.items():
        path = tmp_path / f"{name}.fa.gz"
        path.write_bytes(content)
        with pytest.raises(ValueError, match=rf"{name}\.fa\.gz is a truncated or damaged gzip"):
            Genome(path)
    assert not list(cache.iterdir())


def test_a_bgzip_that_ends_between_two_blocks_is_refused(tmp_path: Path) -> None:
    content = written(tmp_path / "some.fa").read_bytes()
    compressor = zlib.compressobj(wbits=-15)
    body = compressor.compress(content) + compressor.flush()
    size = 18 + len(body) + 8
    head = b"\x1f\x8b\x08\x04" + bytes(5) + b"\xff\x06\x00BC\x02\x00" + struct.pack("<H", size - 1)
    block = head + body + struct.pack("<II", zlib.crc32(content), len(content))
    path = tmp_path / "some.fa.gz"
    path.write_bytes(block + fasta.LAST_BLOCK)
    assert Genome(path).letters(Interval("one", 0, 8)) == "ACGTTGCA"
    path.write_bytes(block)
    with pytest.raises(ValueError, match=r"some\.fa\.gz is a truncated or damaged bgzip"):
        Genome(path)


@pytest.mark.fault("no space for a genome", "said with a mend")
@pytest.mark.parametrize("name", ["some.fa.gz", "some.fa"])
def test_a_full_disk_is_said(
    tmp_path: Path, cache: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path / "some.fa")
    (tmp_path / "some.fa.gz").write_bytes(gzip.compress(path.read_bytes()))

    def full(source: Any, target: Any, size: int = 0) -> None:
        target.write(source.read(5))
        raise OSError(errno.ENOSPC, "No space left on device")

    # The index is written by it as well.
    monkeypatch.setattr(shutil, "copyfileobj", full)
    with pytest.raises(OSError, match=rf"no room in {cache} for some.*: make room.*TITANS_CACHE"):
        Genome(tmp_path / name)
    assert not list(cache.iterdir())


@pytest.mark.fault("a missing data file", "refused, with what to set")
def test_what_is_missing_or_compressed_otherwise_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere\.fa"):
        Genome(tmp_path / "nowhere.fa")
    written(tmp_path / "some.fa.bz2")
    with pytest.raises(ValueError, match=r"some\.fa\.bz2 is no gzip"):
        Genome(tmp_path / "some.fa.bz2")


@pytest.mark.parametrize(
    ("interval", "named"),
    [
        (Interval("one", 0, 32, source="x.bed, line 7"), "x.bed, line 7: 0-32 .* from 0 to 31"),
        (Interval("three", 0, 2, source="x.bed, line 7"), "x.bed, line 7: three .* one, 2"),
    ],
    ids=["beyond the end", "unknown"],
)
def test_what_is_not_in_the_genome_is_refused(
    tmp_path: Path, interval: Interval, named: str
) -> None:
    genome = Genome(written(tmp_path / "some.fa"))
    with pytest.raises(ValueError, match=named):
        genome.tokens(interval)
