"""What an evaluation yields."""

from collections.abc import Mapping
from typing import NamedTuple


class Score(NamedTuple):
    """One number of a record.

    Attributes:
        name: `"<dataset>/<metric>"`, e.g. `niah_single_1/2048` or `train/2048/peak_mb`.
        value: not a number where it could not be measured.
        counts: what it rests on: `prompts`, `seconds` it took, `batch` …
    """

    name: str
    value: float
    counts: Mapping[str, float]
