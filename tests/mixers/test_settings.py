"""Settings without a meaning are refused by name, when a mixer is made."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from titans.memory import Gates, NeuralMemory
from titans.mixers import GLA, TTT

DIM = 16
GATES = partial(Gates, DIM, 2, 4)


@pytest.mark.parametrize(
    ("maker", "setting", "value"),
    [
        (partial(NeuralMemory, DIM), "clip", -1.0),
        (partial(NeuralMemory, DIM), "clip", 0.0),
        (GATES, "max_step", 0.0),
        (GATES, "max_step", -1.0),
        (partial(GLA, DIM), "temperature", 0.0),
        (partial(GLA, DIM), "temperature", -16.0),
        (partial(TTT, DIM), "base_lr", -0.1),
        (partial(TTT, DIM), "base_lr", float("nan")),
    ],
)
def test_what_would_reverse_the_learning(
    maker: Callable[..., Any], setting: str, value: float
) -> None:
    with pytest.raises(ValueError, match=f"{setting}={value}.*set a number above 0"):
        maker(**{setting: value})
