"""A reference genome on disk, of any size: its nucleotides at any place."""

import os
from collections.abc import Mapping
from pathlib import Path

from pyfaidx import Faidx
from torch import Tensor

from data import fasta
from data.intervals import Interval
from data.nucleotides import decode, encode, reverse_complement


class Genome:
    """The contigs of a FASTA file, which is indexed and not read into memory.

    Args:
        path: a FASTA file, compressed by gzip or not.
        offsets: contig -> the position of its first nucleotide, for a file that holds windows of
            chromosomes; 0 where it says nothing.

    Raises:
        OSError: the file is missing, or the cache has no room for it.
        ValueError: it is no FASTA of nucleotides (the line is told), or has no such contig.
    """

    def __init__(self, path: str | Path, offsets: Mapping[str, int] | None = None) -> None:
        self.path = Path(path)
        self.plain = fasta.plain(self.path)
        self.index = fasta.index(self.plain, self.path)
        self.lengths = {name: entry.rlen for name, entry in self._open().index.items()}
        self.offsets = {self.named(name): first for name, first in (offsets or {}).items()}
        if unknown := self.offsets.keys() - self.lengths:
            raise ValueError(f"offsets has {min(unknown)}, which is not in {path}")

    def _open(self) -> Faidx:
        # One handle a process: processes that share one would move it under each other's feet.
        self.process = os.getpid()
        self.file = Faidx(self.plain, indexname=self.index, as_raw=True, build_index=False)
        return self.file

    def __getstate__(self) -> dict[str, object]:
        """All but the open file, for a process that is to open it again."""
        return {name: value for name, value in vars(self).items() if name != "file"} | {
            "process": None
        }

    @property
    def contigs(self) -> list[Interval]:
        """Each contig as a whole."""
        return [
            Interval(name, first, first + length)
            for name, length in self.lengths.items()
            for first in [self.offsets.get(name, 0)]
            if length
        ]

    def named(self, contig: str) -> str:
        """Return what the file calls a contig: `chr2` of one source is the `2` of another."""
        other = contig.removeprefix("chr") if contig.startswith("chr") else f"chr{contig}"
        return contig if contig in self.lengths else other

    def check(self, interval: Interval) -> None:
        """Refuse an interval that is not in this genome.

        Raises:
            ValueError: its contig is unknown, or shorter.
        """
        name, place = self.named(interval.contig), f"{interval.source}: " * bool(interval.source)
        if name not in self.lengths:
            some = ", ".join(list(self.lengths)[:5])
            raise ValueError(f"{place}{interval.contig} is not in {self.path} (it has {some} …)")
        first = self.offsets.get(name, 0)
        end = first + self.lengths[name]
        if not first <= interval.start < interval.end <= end:
            raise ValueError(
                f"{place}{interval.start}-{interval.end} is not within {interval.contig}, which "
                f"goes from {first} to {end} in {self.path}: is this another assembly?"
            )

    def tokens(self, interval: Interval) -> Tensor:
        """Return the nucleotides `[time]` (uint8) of an interval, on its own strand.

        Raises:
            ValueError: it is not in this genome.
        """
        self.check(interval)
        name = self.named(interval.contig)
        start, end = (at - self.offsets.get(name, 0) for at in (interval.start, interval.end))
        file = self.file if self.process == os.getpid() else self._open()
        # The library counts from 1, and its ends belong to what is read.
        tokens = encode(file.fetch(name, start + 1, end))
        return reverse_complement(tokens) if interval.strand == "-" else tokens

    def letters(self, interval: Interval) -> str:
        """Return the nucleotides of an interval as upper-case letters; see `tokens`."""
        return decode(self.tokens(interval))
