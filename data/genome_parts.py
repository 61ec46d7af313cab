"""What of a genome is trained on, what validates and what tests."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from data.genome import Genome
from data.intervals import Interval, read_bed

PARTS = ("train", "validation", "test")
# HyenaDNA's file says valid.
NAMES = {"train": "train", "valid": "validation", "validation": "validation", "test": "test"}
# Of ten blocks in a row.
BLOCKS = ["train"] * 8 + ["validation", "test"]

Parts = dict[str, list[Interval]]


def divide(genome: Genome, bed: str | Path | None, block: int) -> Parts:
    """Return the intervals of each part; no nucleotide is in two of them, on either strand.

    Args:
        genome: what is divided.
        bed: intervals, whose names say the part; where none has a name they are divided by blocks.
            None for all contigs.
        block: nucleotides in a block; of ten in a row, over all contigs, eight are for training,
            the ninth validates, the tenth tests.

    Raises:
        ValueError: an interval is not in the genome, a name is no part, parts overlap, or one of
            them is empty.
    """
    if block < 1:
        raise ValueError(f"task.block is {block}, and should be 1 or more")
    intervals = genome.contigs if bed is None else read_bed(bed)
    for interval in intervals:
        genome.check(interval)
    intervals = [replace(i, contig=genome.named(i.contig)) for i in intervals]
    named = any(interval.name for interval in intervals)
    parts = _by_name(intervals) if named else _by_blocks(genome, intervals, block)
    # Windows may cross from one block or interval to the next, if it is of the same part.
    parts = {part: _united(chosen) for part, chosen in parts.items()}
    for part, chosen in parts.items():
        if not chosen:
            mend = "name an interval so" if named else "set a smaller task.block"
            raise ValueError(f"{bed or genome.path} leaves nothing for the part {part}: {mend}")
    return parts


def _by_name(intervals: Iterable[Interval]) -> Parts:
    parts: Parts = {part: [] for part in PARTS}
    for interval in intervals:
        if interval.name not in NAMES:
            raise ValueError(
                f"{interval.source}: {interval.name!r} is none of the parts {', '.join(NAMES)}"
            )
        parts[NAMES[interval.name]].append(interval)
    _check_overlap(parts)
    return parts


def _by_blocks(genome: Genome, intervals: Iterable[Interval], block: int) -> Parts:
    """Cuts intervals where blocks end; the part hangs on the place alone, not on the strand."""
    parts: Parts = {part: [] for part in PARTS}
    first_block, blocks = {}, 0
    for contig in genome.contigs:
        first_block[contig.contig] = blocks - contig.start // block
        blocks += -(-contig.end // block) - contig.start // block
    for interval in intervals:
        for number in range(interval.start // block, -(-interval.end // block)):
            start = max(interval.start, number * block)
            end = min(interval.end, (number + 1) * block)
            part = BLOCKS[(first_block[interval.contig] + number) % len(BLOCKS)]
            parts[part].append(replace(interval, start=start, end=end))
    return parts


def _united(intervals: Iterable[Interval]) -> list[Interval]:
    """Joins what overlaps or touches on one strand, so that no nucleotide counts twice."""
    united: list[Interval] = []
    for interval in sorted(intervals, key=lambda i: (i.contig, i.strand, i.start)):
        last = united[-1] if united else None
        if (
            last
            and (last.contig, last.strand) == (interval.contig, interval.strand)
            and interval.start <= last.end
        ):
            united[-1] = replace(last, end=max(last.end, interval.end))
        else:
            united.append(interval)
    return united


def _check_overlap(parts: Parts) -> None:
    placed = [(interval, part) for part in PARTS for interval in parts[part]]
    placed.sort(key=lambda pair: (pair[0].contig, pair[0].start))
    furthest, its_part = placed[0]
    for interval, part in placed:
        same = interval.contig == furthest.contig
        if same and interval.start < furthest.end and part != its_part:
            raise ValueError(
                f"{interval.source}: this {part} interval overlaps the {its_part} interval of "
                f"{furthest.source}"
            )
        if not same or interval.end > furthest.end:
            furthest, its_part = interval, part


def pieces(intervals: Iterable[Interval], length: int) -> Iterator[Interval]:
    """Yield consecutive stretches of at most `length`, in the direction of their strand."""
    for interval in intervals:
        for begin in range(0, len(interval), length):
            yield interval.along(begin, min(begin + length, len(interval)))
