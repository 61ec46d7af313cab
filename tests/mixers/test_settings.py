"""Settings without a meaning are refused by name, when a mixer is made."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from titans import mixers
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


HEADED = ["Attention", "Based", "DeltaNet", "GatedDeltaNet", "GLA", "HGRN2", "MAC", "MAG", "MAL",
          "Retention", "TTT"]  # fmt: skip


@pytest.mark.parametrize("heads", [0, -2])
@pytest.mark.parametrize("name", [*HEADED, "NeuralMemory"])
def test_no_head(name: str, heads: int) -> None:
    maker = NeuralMemory if name == "NeuralMemory" else getattr(mixers, name)
    with pytest.raises(ValueError, match=f"heads={heads}: set 1 or more"):
        maker(DIM, heads=heads)


@pytest.mark.parametrize(
    ("name", "setting", "value", "least"),
    [
        *((name, "convolution", -1, 0) for name in ("Attention", "DeltaNet", "MAC", "MAG", "TTT")),
        *((name, "persistent", -1, 0) for name in ("Attention", "LMM", "MAC", "MAG", "MAL")),
        ("Based", "features", 0, 1),
        ("Mamba", "state", 0, 1),
        ("Mamba", "rank", 0, 1),
        ("Mamba2", "head_dim", 0, 1),
        ("Mamba2", "head_dim", -4, 1),
        ("TTT", "chunk_size", 0, 1),
    ],
)
def test_sizes_too_small(name: str, setting: str, value: int, least: int) -> None:
    with pytest.raises(ValueError, match=f"{setting}={value}: set {least} or more"):
        getattr(mixers, name)(DIM, **{setting: value})


@pytest.mark.parametrize("maker", [NeuralMemory, TTT])
@pytest.mark.parametrize("setting", [{"depth": 0}, {"expansion": 0.01}, {"expansion": -1.0}])
def test_a_memory_without_a_channel(maker: Callable[..., Any], setting: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="set a depth of 1 or more, and an expansion"):
        maker(DIM, **setting)
