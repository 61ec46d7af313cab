"""Lengths that grow over a training run."""

from collections.abc import Mapping


def check_curriculum(curriculum: Mapping[int, int], longest: int) -> dict[int, int]:
    """Return length -> first step, no length above `longest`, one of them from step 0."""
    starts: dict[int, int] = {}
    for length, step in curriculum.items():
        cut = min(int(length), longest)
        starts[cut] = min(int(step), starts.get(cut, int(step)))
    if 0 not in starts.values():
        raise ValueError(f"The curriculum {starts} names no length for step 0.")
    return starts


def length_at(curriculum: Mapping[int, int], step: int) -> int:
    """Return the length of an optimiser step: that of the stage begun last."""
    return max((start, length) for length, start in curriculum.items() if start <= step)[1]
