"""TimesNet against its equations, window by window, step by step."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.models.forecasting.learning import assert_all_trained, learn, sines
from titans.models.forecasting import TimesNet
from titans.models.forecasting.timesnet import Inception, TimesBlock, convolve, fold, waves


def mean_of_convolutions(layer: Inception, grid: Tensor) -> Tensor:
    """Each convolution by itself, then their mean."""
    pairs = zip(layer.weights, layer.biases, strict=True)
    each = [F.conv2d(grid, w, b, padding=w.shape[-1] // 2) for w, b in pairs]
    return torch.stack(each).mean(0)


def literal(block: TimesBlock, x: Tensor) -> Tensor:
    """Equations 1 to 7 for one window `[time, dim]`."""
    time, dim = x.shape
    amplitudes = []
    for frequency in range(1, time // 2 + 1):
        angles = 2 * math.pi * frequency * torch.arange(time, dtype=x.dtype) / time
        parts = (angles.cos()[:, None] * x).sum(0), (angles.sin()[:, None] * x).sum(0)
        amplitudes.append((parts[0] ** 2 + parts[1] ** 2).sqrt().mean())
    order = sorted(range(len(amplitudes)), key=lambda i: -float(block.spectrum[i]))[: block.periods]
    weights = torch.stack([amplitudes[i] for i in order]).exp()
    total = x.clone()
    for place, weight in zip(order, weights / weights.sum(), strict=True):
        period = math.ceil(time / (place + 1))
        rows = math.ceil(time / period)
        grid = torch.zeros(dim, rows, period, dtype=x.dtype)
        for step in range(time):
            grid[:, step // period, step % period] = x[step]
        inner = F.gelu(mean_of_convolutions(block.inner, grid[None]))
        varied = mean_of_convolutions(block.outer, inner)[0]
        for step in range(time):
            total[step] += weight * varied[:, step // period, step % period]
    return total


@pytest.mark.parametrize("time", [24, 31])
def test_a_block_is_its_equations(time: int) -> None:
    torch.manual_seed(0)
    block = TimesBlock(3, 4, steps=time, periods=4, kernels=3).double().eval()
    block.spectrum.uniform_()
    for parameter in block.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    x = torch.randn(5, time, 3, dtype=torch.float64) * 0.3
    expected = torch.stack([literal(block, window) for window in x])
    torch.testing.assert_close(block(x), expected)


def test_the_periods_are_those_of_what_it_was_trained_on() -> None:
    torch.manual_seed(0)
    block = TimesBlock(1, 2, steps=24, periods=1, kernels=1)
    wave = (2 * math.pi * torch.arange(24) / 8).sin()[None, :, None]
    block(wave + 0.1 * torch.randn(4, 24, 1))
    other = (2 * math.pi * torch.arange(24) / 3).sin()[None, :, None]
    assert block.eval().strongest(other)[0] == [8]
    assert block.train().strongest(other)[0] == [3]


def test_a_fold_has_a_period_a_row() -> None:
    grid = fold(torch.arange(1.0, 8.0)[None, :, None], 3)
    assert grid[0, 0].tolist() == [[1, 2, 3], [4, 5, 6], [7, 0, 0]]


@pytest.mark.parametrize("shape", [(1, 9), (9, 1), (2, 3), (12, 11)])
def test_one_convolution_is_the_mean_of_all(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    layer, grid = Inception(3, 2, 5).double(), torch.randn(2, 3, *shape, dtype=torch.float64)
    expected = mean_of_convolutions(layer, grid)
    torch.testing.assert_close(convolve(grid, *layer.merged()), expected)


def test_positions_are_waves() -> None:
    found = waves(7, 6)
    for step in range(7):
        for pair in range(3):
            angle = step / 10_000 ** (2 * pair / 6)
            expected = torch.tensor([math.sin(angle), math.cos(angle)])
            torch.testing.assert_close(found[step, 2 * pair : 2 * pair + 2], expected)


def small(**settings: Any) -> TimesNet:
    torch.manual_seed(0)
    arguments: dict[str, Any] = {
        "lookback": 36, "horizon": 12, "channels": 3, "dim": 8, "hidden": 8, "periods": 2,
        "kernels": 2, "dropout": 0.0,
    } | settings  # fmt: skip
    return TimesNet(**arguments)


@torch.no_grad()
def test_a_window_is_forecast_alike_alone_and_in_a_batch() -> None:
    model, x = small().eval(), torch.randn(4, 36, 3)
    together = model(x)
    assert together.shape == (4, 12, 3)
    for row in range(4):
        torch.testing.assert_close(model(x[row : row + 1])[0], together[row], atol=1e-5, rtol=0)
    torch.testing.assert_close(model(x * 3 + 5), together * 3 + 5, atol=1e-3, rtol=1e-3)


def test_learns_a_small_series_with_every_parameter() -> None:
    model = small()
    losses = learn(model, sines(48, every=8), 36, steps=80, lr=1e-2)
    assert losses[-1] < 0.05 < losses[0]
    assert_all_trained(model)


@pytest.mark.parametrize(
    ("dataset", "widths"), [("ETTh1", (16, 32)), ("ETTh2", (32, 32)), ("ECL", (256, 512))]
)
def test_each_data_set_has_its_published_widths(
    compose: Callable[..., Any], dataset: str, widths: tuple[int, int]
) -> None:
    config = compose("model=forecasting/timesnet", "task=timeseries", f"task.dataset={dataset}")
    network = config.task.network
    assert (network.dim, network.hidden) == widths
    assert (network.channels, network.lookback) == (config.task.channels, 96)


@pytest.mark.parametrize("settings", [{"layers": 0}, {"periods": 0}, {"periods": 25}], ids=str)
def test_what_cannot_be_is_refused(settings: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(settings.values()))} {next(iter(settings))}"):
        small(**settings)
