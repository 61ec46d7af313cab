"""Intervals from BED and from published coordinates, and the sequences they stand for."""

import csv
import gzip
import os
from collections import Counter
from pathlib import Path

import pytest

from data.genome import Genome
from data.intervals import Interval, read_bed, read_coordinates, sequences

FOLDER = Path(os.environ.get("TITANS_DATA") or "/nowhere")
KNOWN = FOLDER / "genomics_seqs" / "from_coords_chr2p_chr22.csv"
# The windows of GRCh38, and where each begins.
WINDOWS = {
    "hg38_chr2_1-2333275": ("chr2", 0),
    "hg38_chr22_32000000_32300000": ("chr22", 32_000_000),
}
COORDINATES = "id,region,start,end,strand\na,one,2,6,+\nb,chr1,0,4,-\nc,one,9,12,\n"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TITANS_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def genome(tmp_path: Path) -> Genome:
    path = tmp_path / "some.fa"
    path.write_text(">one\nAACCG\nGTTac\nGt\n>1\nAAAC\n", encoding="ascii")
    return Genome(path)


@pytest.mark.parametrize("compressed", [False, True])
def test_sequences_of_published_coordinates(
    tmp_path: Path, genome: Genome, compressed: bool
) -> None:
    path = tmp_path / ("some.csv.gz" if compressed else "some.csv")
    content = COORDINATES.encode()
    path.write_bytes(gzip.compress(content) if compressed else content)
    assert sequences(path, genome) == ["CCGG", "GTTT", "CGT"]


@pytest.mark.skipif(not KNOWN.is_file(), reason="TITANS_DATA has no windows of GRCh38")
def test_the_known_sequences_of_grch38_are_reproduced() -> None:
    with KNOWN.open(encoding="ascii") as file:
        # A set without strands has the forward one throughout.
        rows = (row | {"strand": row["strand"] or "+"} for row in csv.DictReader(file))
        known = Counter(tuple(row.values()) for row in rows)
    cut: Counter[tuple[str, ...]] = Counter()
    for name, (contig, offset) in WINDOWS.items():
        genome = Genome(KNOWN.with_name(f"{name}.fa.gz"), offsets={contig: offset})
        (window,) = genome.contigs
        for path in sorted((FOLDER / "genomics_coords").glob("*/*/*.csv.gz")):
            dataset, part, label = path.parts[-3], path.parts[-2], path.name.split(".")[0]
            for interval in read_coordinates(path):
                inside = window.start <= interval.start < interval.end <= window.end
                if interval.contig == contig and inside:
                    place = contig, str(interval.start), str(interval.end), interval.strand
                    cut[dataset, part, label, *place, genome.letters(interval)] += 1
    assert known.total() == 657
    assert cut == known


def test_a_bed_file_with_and_without_its_optional_columns(tmp_path: Path) -> None:
    path = tmp_path / "some.bed"
    path.write_text(
        "# made up\ntrack name=x\nbrowser position one\n\n"
        "one\t0\t4\none\t4\t8\ttrain\r\none 8 9 test 0 -\none\t9\t10\t.\t0\t.\n"
        "track1\t0\t4\n",
        encoding="ascii",
    )
    assert read_bed(path) == [
        Interval("one", 0, 4, "+", "", f"{path}, line 5"),
        Interval("one", 4, 8, "+", "train", f"{path}, line 6"),
        Interval("one", 8, 9, "-", "test", f"{path}, line 7"),
        Interval("one", 9, 10, "+", "", f"{path}, line 8"),
        Interval("track1", 0, 4, "+", "", f"{path}, line 9"),
    ]


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("one\t5", "2 columns"),
        ("one\tfive\t9", "'five'"),
        ("one\t-1\t9", "'-1'"),
        ("one\t1.0\t9", r"'1\.0'"),
        ("one\t\t9", "''"),
        ("one\t9\t9", "not behind"),
        ("one\t9\t4", "not behind"),
        ("one\t4\t9\ta\t0\tx", "'x'"),
    ],
    ids=repr,
)
def test_a_malformed_line_of_bed_is_refused(tmp_path: Path, line: str, named: str) -> None:
    path = tmp_path / "some.bed"
    path.write_text(f"one\t0\t4\n{line}\n", encoding="ascii")
    with pytest.raises(ValueError, match=rf"some\.bed, line 2: .*{named}"):
        read_bed(path)


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("", "line 1: no column id, region, start, end, strand"),
        ("id,region,start,end\na,one,0,4\n", "line 1: no column strand"),
        (COORDINATES + "d,one,3,+\n", "line 5: 4 columns instead of 5"),
        (COORDINATES + '"d,' + "1" * 2**17, "line 5.*quote"),
        (COORDINATES + "d,one,3,x,+\n", "line 5: '3' to 'x'"),
        (COORDINATES + "d,one,3,13,+\n", "line 5: 3-13 .* from 0 to 12"),
        (COORDINATES + "d,two,3,4,+\n", "line 5: two is not in"),
    ],
    ids=[
        "empty",
        "no strand",
        "short",
        "open quote",
        "no number",
        "beyond the end",
        "unknown contig",
    ],
)
def test_malformed_coordinates_are_refused(
    tmp_path: Path, genome: Genome, content: str, named: str
) -> None:
    path = tmp_path / "some.csv"
    path.write_text(content, encoding="ascii")
    with pytest.raises(ValueError, match=rf"some\.csv, {named}"):
        sequences(path, genome)


def test_what_is_no_file_of_intervals_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere\.bed"):
        read_bed(tmp_path / "nowhere.bed")
    contents = {
        "a.bed": b"\n",
        "b.bed.gz": gzip.compress(b"one\t0\t4\n" * 99)[:-9],
        "c.bed": b"\xff",
        "d.bed": "one\t0\t4\n".encode("utf-16"),
    }
    for name, content in contents.items():
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(ValueError, match=name):
            read_bed(path)
    marked = tmp_path / "marked.bed"
    marked.write_bytes("one\t0\t4\n".encode("utf-8-sig"))
    assert [interval.contig for interval in read_bed(marked)] == ["one"]
