"""The stand-in: windows that do not overlap, shuffled ones, and where the file comes from."""

import gzip
import hashlib
import itertools
import random
from collections import Counter
from pathlib import Path

import pytest

from data import promoters
from data.classes import load_sequences
from data.promoters import CHROMOSOMES, FILE
from data.sequences import SOURCES

WIDTH = SOURCES["fly_promoters"].longest
RNG = random.Random(0)
GENOME = "".join(RNG.choices("acgt", k=3000))


def region(first: int, last: int, strand: str, letters: str | None = None) -> str:
    """A record as the file has it: positions from 1, the end included; lines of 50."""
    letters = letters or GENOME[first - 1 : last]
    lines = "\n".join(letters[start : start + 50] for start in range(0, len(letters), 50))
    name = f"NM_1_up_2000_{CHROMOSOMES['test']}_{first}_{strand}"
    return f">{name} {CHROMOSOMES['test']}:{first}-{last}\n{lines}\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file in which some regions are to be left out."""
    monkeypatch.setenv("TITANS_DATA", str(tmp_path))
    monkeypatch.setenv("TITANS_CACHE", str(tmp_path / "cache"))
    regions = [
        region(1, 500, "f"),
        region(1, 500, "f"),  # another transcript with the same start
        region(101, 600, "f"),  # its window overlaps that of the first
        region(501, 1000, "r"),
        region(701, 1200, "f"),
        region(1301, 1800, "f", "n" * 500),
        region(1801, 2300, "f", GENOME[200:700]),  # another place, the same letters as below
        region(2401, 2900, "f", GENOME[200:700]),
        region(2901, 2950, "f"),  # too short
        region(-1646, 353, "f", GENOME[:353]),  # before the chromosome begins
    ]
    text = "".join(regions) + region(1, 500, "f").replace(CHROMOSOMES["test"], "chrU")
    path = tmp_path / "below" / FILE
    path.parent.mkdir()
    path.write_bytes(gzip.compress(text.encode()))
    return tmp_path


def test_windows_stand_before_the_start_and_do_not_overlap(folder: Path) -> None:
    rows = list(promoters.promoters("test").rows)
    real = [row.sequence for row in rows if row.label == "promoter"]
    assert real == [
        GENOME[500 - WIDTH : 500].upper(),
        GENOME[1000 - WIDTH : 1000].upper(),
        GENOME[1200 - WIDTH : 1200].upper(),
        GENOME[700 - WIDTH : 700].upper(),
    ]
    assert all(str(folder) in row.place and "chr" in row.place for row in rows)
    assert [row for row in rows if row.label == "promoter"] == rows[len(real) :]


def test_each_has_a_shuffled_one_at_the_same_rank(folder: Path) -> None:
    rows = list(promoters.promoters("test").rows)
    half = len(rows) // 2
    for shuffled, real in zip(rows[:half], rows[half:], strict=True):
        assert (shuffled.label, real.label) == ("shuffled", "promoter")
        assert shuffled.sequence != real.sequence
        pairs = [Counter(itertools.pairwise(row.sequence)) for row in (shuffled, real)]
        assert pairs[0] == pairs[1]
    assert rows == list(promoters.promoters("test").rows), "the same ones each time"


def test_without_apt_it_is_said_what_to_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TITANS_DATA", raising=False)
    monkeypatch.setenv("TITANS_CACHE", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FileNotFoundError) as refused:
        promoters.find()
    named = [FILE, "r-bioc-biostrings", "there is no apt-get here", "TITANS_DATA=FOLDER", "sample"]
    assert all(text in str(refused.value) for text in named), refused.value


def test_what_apt_says_is_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TITANS_DATA", raising=False)
    monkeypatch.setenv("TITANS_CACHE", str(tmp_path))
    monkeypatch.setattr(promoters, "PACKAGE", "no-such-package-of-dna")
    for program in ("apt-get", "dpkg-deb"):
        path = tmp_path / program
        path.write_text("#!/bin/sh\necho 'E: Unable to locate package' >&2\nexit 100\n")
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    with pytest.raises(FileNotFoundError, match="E: Unable to locate package"):
        promoters.find()


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What the package holds, call by call; `once` is the known file."""
    monkeypatch.delenv("TITANS_DATA", raising=False)
    monkeypatch.setenv("TITANS_CACHE", str(tmp_path))
    monkeypatch.setattr(promoters, "SHA256", hashlib.sha256(b"once").hexdigest())
    contents: list[bytes] = []
    monkeypatch.setattr(promoters, "debian_file", lambda *_: contents.pop(0))
    return contents


def test_the_file_is_kept(tmp_path: Path, served: list[bytes]) -> None:
    served.append(gzip.compress(b"once"))
    assert promoters.find() == promoters.find() == tmp_path / FILE
    assert gzip.decompress((tmp_path / FILE).read_bytes()) == b"once"


@pytest.mark.fault("a damaged copy in the cache", "fetched again")
@pytest.mark.parametrize(
    "damaged",
    [b"", b"<html>", gzip.compress(b"once")[:-9], gzip.compress(b"twice")],
    ids=["empty", "page", "truncated", "other"],
)
def test_a_damaged_copy_is_fetched_again(
    tmp_path: Path, served: list[bytes], damaged: bytes
) -> None:
    (tmp_path / FILE).write_bytes(damaged)
    served.append(gzip.compress(b"once"))
    assert gzip.decompress(promoters.find().read_bytes()) == b"once"


def test_another_file_of_the_package_is_not_kept(tmp_path: Path, served: list[bytes]) -> None:
    served.append(gzip.compress(b"twice"))
    with pytest.raises(FileNotFoundError, match=rf"it holds another {FILE}.*TITANS_DATA=FOLDER"):
        promoters.find()
    assert not (tmp_path / FILE).exists()


@pytest.mark.fault(
    "a data file that is empty, truncated or of another encoding", "refused by name and line"
)
@pytest.mark.parametrize(
    "kept",
    [b"", b"<html>", None, gzip.compress(b"\xe9")],
    ids=["empty", "page", "truncated", "letters"],
)
def test_a_damaged_file_is_refused_by_its_name(folder: Path, kept: bytes | None) -> None:
    path = folder / "below" / FILE
    path.write_bytes(path.read_bytes()[:-9] if kept is None else kept)
    with pytest.raises(ValueError, match=rf"{path} .*: get it again"):
        load_sequences("fly_promoters", "test")


def test_the_file_with_too_few_is_named(folder: Path) -> None:
    with pytest.raises(ValueError, match=rf"instead of \[2678, 2678\] in {folder}/below/{FILE}: "):
        load_sequences("fly_promoters", "test")
