"""A curriculum in stages: a length, and for how many optimiser steps it is trained at."""

from collections.abc import Sequence
from typing import Any

Stages = Sequence[Sequence[int]]


def check_stages(stages: Stages, shortest: int, longest: int) -> None:
    """Refuse what is no list of lengths and steps.

    Raises:
        ValueError: a stage is no pair, its length is out of bounds, or its steps are negative.
    """
    whole = isinstance(stages, Sequence)
    if not (whole and all(_is_stage(stage, shortest, longest) for stage in stages)):
        raise ValueError(
            f"task.curriculum is {stages}, and should list stages [length, steps] of "
            f"lengths from {shortest} to task.length={longest}"
        )


def _is_stage(stage: Any, shortest: int, longest: int) -> bool:
    match stage:
        case [int(length), int(steps)]:
            return shortest <= length <= longest and steps >= 0
    return False


def length_at(step: int, stages: Stages, longest: int) -> int:
    """Return the length of an optimiser step: of its stage, and of none the longest."""
    for length, steps in stages:
        if step < steps:
            return length
        step -= steps
    return longest
