"""A stand-in of real DNA with a known answer: promoters of the fly, and the same ones shuffled."""

import gzip
import os
import random
import re
from collections.abc import Iterator
from pathlib import Path

from data.packages import AbsentError, debian_file
from data.sequence_file import Row
from data.sequences import SOURCES
from data.shuffle import dinucleotide_shuffle
from data.store import cache_folder, write_atomically

# The 2,000 nucleotides before each transcript of the fly (assembly dm3), which Bioconductor's
# Biostrings has for its examples.
FILE, PACKAGE = "dm3_upstream2000.fa.gz", "r-bioc-biostrings"
CHROMOSOMES = {"train": "chr3R", "test": "chr2L"}
HEADER = re.compile(r">\S+_([fr]) (\w+):(\d+)-(\d+)")


def promoters(part: str) -> Iterator[Row]:
    """Yield the promoters of a part's chromosome, after a shuffled one of each in the same order.

    Raises:
        FileNotFoundError: the file is in no folder, and there is no apt to fetch its package.
    """
    path = find()
    kept = _apart(path, CHROMOSOMES[part])
    rng = random.Random(part)
    for place, sequence in kept:
        yield Row(dinucleotide_shuffle(sequence, rng), "shuffled", f"{path}, {place}, shuffled")
    for place, sequence in kept:
        yield Row(sequence, "promoter", f"{path}, {place}")


def _apart(path: Path, wanted: str) -> list[tuple[str, str]]:
    """The windows before the start of a transcript: known throughout, and no two overlap."""
    width = SOURCES["fly_promoters"].longest
    windows: dict[int, str] = {}
    for strand, chromosome, first, last, sequence in _regions(path):
        window = sequence[-width:].upper()
        if chromosome == wanted and len(window) == width and set(window) <= set("ACGT"):
            windows.setdefault(last - width if strand == "f" else first - 1, window)
    kept: dict[str, str] = {}
    end = 0
    for start, window in sorted(windows.items()):
        if start >= end and window not in kept:
            kept[window] = f"{wanted}:{start}"
            end = start + width
    return [(place, window) for window, place in kept.items()]


def _regions(path: Path) -> Iterator[tuple[str, str, int, int, str]]:
    """Strand, chromosome, first and last position, and the letters up to the transcript's start."""
    with gzip.open(path, "rt", encoding="ascii") as file:
        for text in file.read().split("\n>"):
            header, _, letters = text.partition("\n")
            if found := HEADER.match(f">{header.lstrip('>')}"):
                strand, chromosome, first, last = found.groups()
                yield strand, chromosome, int(first), int(last), letters.replace("\n", "")


def find() -> Path:
    """Return where the file is: anywhere below `$TITANS_DATA`, or fetched once with apt."""
    folder = os.environ.get("TITANS_DATA")
    if folder and (found := sorted(Path(folder).rglob(FILE))):
        return found[0]
    path = cache_folder() / FILE
    if not path.exists():
        try:
            write_atomically(path, debian_file(PACKAGE, FILE))
        except AbsentError as error:
            raise FileNotFoundError(
                f"{FILE} is not below TITANS_DATA={folder}, and not to be had from the package "
                f"{PACKAGE} of Debian ({error}): put it (of Bioconductor's "
                "Biostrings, inst/extdata) into a folder and set TITANS_DATA=FOLDER, or try the "
                "code on task.dataset=sample"
            ) from error
    return path
