"""A stand-in of real DNA with a known answer: promoters of the fly, and the same ones shuffled."""

import gzip
import hashlib
import os
import random
import re
import zlib
from collections.abc import Iterator
from pathlib import Path

from data.packages import AbsentError, debian_file
from data.sequence_file import Part, Row
from data.sequences import SOURCES
from data.shuffle import dinucleotide_shuffle
from data.store import cache_folder, write_atomically

# The 2,000 nucleotides before each transcript of the fly (assembly dm3), which Bioconductor's
# Biostrings has for its examples.
FILE, PACKAGE = "dm3_upstream2000.fa.gz", "r-bioc-biostrings"
# Of what the file decompresses to: a package that is built anew may compress it otherwise.
SHA256 = "886e63ba350924362ee14acfd26aa9d766223ba6e733535fab4da2f50bfe4a1a"
MEND = "get it again (of Bioconductor's Biostrings, inst/extdata)"
CHROMOSOMES = {"train": "chr3R", "test": "chr2L"}
HEADER = re.compile(r">\S+_([fr]) (\w+):(\d+)-(\d+)")


def promoters(part: str) -> Part:
    """Return the promoters of a part's chromosome, after a shuffled one of each in the same order.

    Raises:
        FileNotFoundError: the file is in no folder, and there is no apt to fetch its package.
        ValueError: it is damaged, or another file.
    """
    path = find()
    return Part(str(path), _rows(path, part))


def _rows(path: Path, part: str) -> Iterator[Row]:
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
    none = True
    for text in _unpacked(path).split("\n>"):
        header, _, letters = text.partition("\n")
        if found := HEADER.match(f">{header.lstrip('>')}"):
            none = False
            strand, chromosome, first, last = found.groups()
            yield strand, chromosome, int(first), int(last), letters.replace("\n", "")
    if none:
        raise ValueError(f"{path} holds no region of the fly's genome: {MEND}")


def _unpacked(path: Path) -> str:
    try:
        return gzip.decompress(path.read_bytes()).decode("ascii")
    except (gzip.BadGzipFile, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is damaged, or no gzip of DNA ({error}): {MEND}") from error


def find() -> Path:
    """Return where the file is: anywhere below `$TITANS_DATA`, or fetched once with apt."""
    folder = os.environ.get("TITANS_DATA")
    if folder and (found := sorted(Path(folder).rglob(FILE))):
        return found[0]
    path = cache_folder() / FILE
    if not path.is_file() or not _known(path.read_bytes()):
        try:
            write_atomically(path, _fetch())
        except AbsentError as error:
            raise FileNotFoundError(
                f"{FILE} is not below TITANS_DATA={folder}, and not to be had from the package "
                f"{PACKAGE} of Debian ({error}): put it (of Bioconductor's "
                "Biostrings, inst/extdata) into a folder and set TITANS_DATA=FOLDER, or try the "
                "code on task.dataset=sample"
            ) from error
    return path


def _fetch() -> bytes:
    content = debian_file(PACKAGE, FILE)
    if not _known(content):
        raise AbsentError(f"it holds another {FILE}")
    return content


def _known(content: bytes) -> bool:
    try:
        return hashlib.sha256(gzip.decompress(content)).hexdigest() == SHA256
    except (gzip.BadGzipFile, EOFError, zlib.error):
        return False
