"""Stretches of a genome: read from BED and from the coordinates of GenomicsBenchmarks."""

import csv
import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TextIO, cast

if TYPE_CHECKING:
    from data.genome import Genome

FIELDS = ("id", "region", "start", "end", "strand")
# What a line of BED may be besides an interval.
REMARKS = ("track", "browser")


@dataclass(frozen=True)
class Interval:
    """A stretch of one strand.

    Attributes:
        contig: a chromosome, or another sequence of the FASTA file.
        start: the first nucleotide, counted from 0 on the forward strand.
        end: the one behind the last.
        strand: `+`, or `-` for the reverse complement.
        name: the fourth column of BED.
        source: file and line, for a refusal.
    """

    contig: str
    start: int
    end: int
    strand: str = "+"
    name: str = ""
    source: str = ""

    def __len__(self) -> int:
        return self.end - self.start

    def along(self, begin: int, end: int) -> "Interval":
        """Return a stretch of it, counted from where its strand begins."""
        if self.strand == "-":
            begin, end = len(self) - end, len(self) - begin
        return replace(self, start=self.start + begin, end=self.start + end)


def read_bed(path: str | Path) -> list[Interval]:
    """Return the intervals of a BED file: 3 columns, the name as a fourth, the strand as a sixth.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a line is no interval, or there is none; the line is told.
    """
    intervals = []
    for number, line in enumerate(_lines(Path(path)), 1):
        text = line.rstrip("\r\n")
        if not text.strip() or text.startswith("#") or text.split()[0] in REMARKS:
            continue
        fields = text.split("\t") if "\t" in text else text.split()
        if len(fields) < 3:
            raise ValueError(f"{path}, line {number}: {len(fields)} columns instead of 3 or more")
        name, strand = (fields[at] if len(fields) > at else "" for at in (3, 5))
        name = "" if name == "." else name
        place = f"{path}, line {number}"
        intervals.append(_interval(fields[0], fields[1], fields[2], strand, name, place))
    if not intervals:
        raise ValueError(f"{path} holds no interval")
    return intervals


def read_coordinates(path: str | Path) -> list[Interval]:
    """Return the intervals of a class, as GenomicsBenchmarks publishes them.

    Args:
        path: a CSV file, compressed by gzip or not: id, region, start, end, strand. An empty strand
            is the forward one.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a column is missing or a line is no interval; the line is told.
    """
    rows = csv.reader(_lines(Path(path)))
    header = next(rows, [])
    if absent := [field for field in FIELDS if field not in header]:
        raise ValueError(f"{path}, line 1: no column {', '.join(absent)}")
    intervals = []
    try:
        for row in rows:
            place = f"{path}, line {rows.line_num}"
            if len(row) != len(header):
                raise ValueError(f"{place}: {len(row)} columns instead of {len(header)}")
            name, contig, start, end, strand = (row[header.index(field)] for field in FIELDS)
            intervals.append(_interval(contig, start, end, strand, name, place))
    except csv.Error as error:
        raise ValueError(f"{path}, line {rows.line_num}: {error}; is a quote open?") from error
    return intervals


def sequences(coordinates: str | Path, genome: "Genome") -> list[str]:
    """Return the sequences of a class in the order of its published intervals.

    Args:
        coordinates: see `read_coordinates`.
        genome: the assembly they are of: GRCh38 for GenomicsBenchmarks' human sets.

    Raises:
        ValueError: a line is no interval of this genome.
    """
    return [genome.letters(interval) for interval in read_coordinates(coordinates)]


def _interval(contig: str, start: str, end: str, strand: str, name: str, source: str) -> Interval:
    if not (start.isascii() and start.isdigit() and end.isascii() and end.isdigit()):
        raise ValueError(f"{source}: {start!r} to {end!r} are no positions, counted from 0")
    if int(start) >= int(end):
        raise ValueError(f"{source}: the end {end} is not behind the start {start}")
    if strand not in ("+", "-", ".", ""):
        raise ValueError(f"{source}: the strand is {strand!r} instead of +, - or .")
    return Interval(contig, int(start), int(end), "-" if strand == "-" else "+", name, source)


def _lines(path: Path) -> Iterator[str]:
    """The lines of a text, compressed by gzip or not.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged, or not UTF-8.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no file of intervals at {path}: name another")
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with cast(TextIO, opener(path, "rt", encoding="utf-8-sig", newline="")) as file:
            yield from file
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(
            f"{path} is a truncated or damaged gzip ({error}): get it again"
        ) from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8: convert the file ({error})") from error
