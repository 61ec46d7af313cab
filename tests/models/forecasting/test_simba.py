"""EinFFT against sums over every token and block, and Simba around every model's mixers."""

import cmath
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import hydra
import pytest
import torch
from torch import Tensor

from titans.mixers import Attention, Mamba
from titans.models.forecasting import EinFFT, Simba

CONF = Path(__file__).parents[3] / "conf"
NAMES = sorted(p.stem for p in (CONF / "model").glob("*.yaml"))


def turn(steps: int, size: int) -> complex:
    return cmath.exp(-2j * math.pi * steps / size)


def literal(layer: EinFFT, x: Tensor) -> Tensor:
    """The docstring's formula for one sequence `[time, dim]`, number by number."""
    time, blocks = len(x), layer.blocks
    width, scale = x.shape[1] // blocks, (len(x) * layer.blocks) ** -0.5
    weights, biases = (torch.view_as_complex(p.detach()) for p in (layer.weights, layer.biases))
    mixed = torch.zeros_like(x)
    for k in range(time // 2 + 1):
        for b in range(blocks):
            vector = torch.zeros(width, dtype=torch.complex128)
            for t in range(time):
                for c in range(blocks):
                    turned = turn(k * t, time) * turn(b * c, blocks) * scale
                    vector += x[t, c * width : (c + 1) * width] * turned
            vector = vector @ weights[0, b] + biases[0, b]
            vector = torch.complex(vector.real.clamp_min(0), vector.imag.clamp_min(0))
            vector = vector @ weights[1, b] + biases[1, b]
            parts = vector.real, vector.imag
            vector = torch.complex(*(p.sign() * (p.abs() - 0.1).clamp_min(0) for p in parts))
            # A frequency and its negative are each other's conjugates.
            count = 1 if k == 0 or 2 * k == time else 2
            for t in range(time):
                for c in range(blocks):
                    turned = (turn(k * t, time) * turn(b * c, blocks)).conjugate() * scale
                    mixed[t, c * width : (c + 1) * width] += count * (vector * turned).real
    return mixed


@pytest.mark.parametrize(("time", "blocks"), [(6, 2), (7, 3), (1, 1)])
def test_einfft_is_the_sum_over_frequencies(time: int, blocks: int) -> None:
    torch.manual_seed(0)
    layer = EinFFT(6, blocks=blocks, shrink=0.1).double()
    torch.nn.init.normal_(layer.biases, std=0.3)
    x = torch.randn(2, time, 6, dtype=torch.float64)
    expected = torch.stack([literal(layer, sequence) for sequence in x])
    torch.testing.assert_close(layer(x), expected)


def small(**settings: Any) -> Simba:
    torch.manual_seed(0)
    arguments: dict[str, Any] = {
        "lookback": 48, "horizon": 12, "channels": 3, "dim": 16, "layers": 2, "patch": 8,
        "mixers": {"mamba": partial(Mamba, 16), "attention": partial(Attention, 16)},
    } | settings  # fmt: skip
    return Simba(**arguments)


def test_mixers_are_tiled_over_depth() -> None:
    kinds = [type(block.mixer) for block in small(layers=3).blocks]
    assert kinds == [Mamba, Attention, Mamba]


@torch.no_grad()
def test_channels_are_read_alone_and_levels_put_aside() -> None:
    model, x = small().eval(), torch.randn(2, 48, 3)
    before = model(x)
    changed = x.clone()
    changed[:, :, 0] = torch.randn(2, 48)
    assert torch.equal(model(changed)[:, :, 1:], before[:, :, 1:])
    moved = model(x * 3 + 5)
    torch.testing.assert_close(moved, before * 3 + 5, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize(("lookback", "first"), [(16, [0.0, 7.0]), (13, [0.0, 4.0])])
def test_the_last_patches_are_the_end_of_the_window_and_its_last_value(
    lookback: int, first: list[float]
) -> None:
    model = small(lookback=lookback)
    steps = torch.arange(float(lookback))[None, :, None] + 100 * torch.arange(3.0)
    patches = model.patches(steps)
    assert patches.shape == (3, 3, 8)
    assert patches[0, 0, [0, -1]].tolist() == first
    assert patches[2, 1].tolist() == [200 + lookback - 8 + i for i in range(8)]
    assert (patches[2, 2] == 200 + lookback - 1).all()


def test_learns_a_small_series() -> None:
    model = small(dropout=0.0)
    time = torch.arange(200.0)
    series = torch.stack([(time * f).sin() for f in (0.2, 0.31, 0.55)], dim=-1)
    windows = series.unfold(0, 60, 5).mT
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    losses = []
    for _ in range(60):
        loss = (model(windows[:, :48]) - windows[:, 48:]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.05 < losses[0]


@pytest.mark.parametrize("name", [*NAMES, "forecasting/simba"])
def test_every_stack_of_mixers_forecasts(compose: Callable[..., Any], name: str) -> None:
    config = compose(f"model={name}", "task=timeseries")
    model = hydra.utils.instantiate(config.task.network, _convert_="all")
    assert isinstance(model, Simba)
    assert model.embedding.out_features == config.scale.dim == 32
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    x = torch.randn(4, 192, 7, generator=torch.Generator().manual_seed(0))
    before = [p.detach().clone() for p in model.parameters()]
    for _ in range(2):
        optimizer.zero_grad()
        (model(x[:, :96]) - x[:, 96:]).square().mean().backward()
        optimizer.step()
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None, key
        assert torch.isfinite(parameter.grad).all(), key
    changed = [not torch.equal(p, q) for p, q in zip(before, model.parameters(), strict=True)]
    assert sum(changed) > 0.9 * len(changed)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"mixers": {}}, ["mixer"]),
        ({"mixers": None}, ["mixer"]),
        ({"layers": 0}, ["layer"]),
        ({"patch": 49}, ["49", "48", "patch"]),
        ({"blocks": 5}, ["5 blocks", "16"]),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused(settings: dict[str, Any], named: list[str]) -> None:
    with pytest.raises(ValueError, match=named[0]) as refused:
        small(**settings)
    assert all(text in str(refused.value) for text in named)
