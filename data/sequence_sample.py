"""A small generated set: random DNA, with TATAAA somewhere or without."""

import random
from collections.abc import Iterator
from pathlib import Path

from data.sequence_file import Part, Row
from data.sequences import PARTS, SOURCES

MOTIF = "TATAAA"


def sample(part: str) -> Part:
    """Return the sequences of a part, the same ones each time."""
    return Part(f"{Path(__file__).name}, {part}", _rows(part))


def _rows(part: str) -> Iterator[Row]:
    source, which = SOURCES["sample"], PARTS.index(part)
    rng = random.Random(which)
    for label, counts in source.classes.items():
        for number in range(counts[which]):
            length = rng.randint(source.longest // 2, source.longest)
            # Without an A, the motif is there only where it was put.
            letters = rng.choices("CGT", k=length)
            if label == "with":
                start = rng.randrange(length - len(MOTIF))
                letters[start : start + len(MOTIF)] = MOTIF
            yield Row("".join(letters), label, f"sample {part} {label} {number}")
