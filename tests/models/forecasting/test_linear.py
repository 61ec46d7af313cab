"""DLinear and RLinear against their equations, one window and channel at a time."""

import numpy as np
import pytest
import torch
from torch import nn

from titans.models.forecasting import DLinear, RLinear

LOOKBACK, HORIZON, CHANNELS = 40, 7, 3


@pytest.fixture
def series() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, LOOKBACK, CHANNELS, generator=generator, dtype=torch.float64)


def scattered(module: nn.Module) -> nn.Module:
    """The module in float64, its parameters anywhere, scales near 1."""
    generator = torch.Generator().manual_seed(1)
    for name, parameter in module.double().named_parameters():
        noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        parameter.data = noise + (1 if "scale" in name else 0)
    return module.eval()


def mapped(linear: nn.Linear, values: np.ndarray) -> np.ndarray:
    return linear.weight.detach().numpy() @ values + linear.bias.detach().numpy()


def test_dlinear_is_a_map_of_the_trend_and_one_of_the_rest(series: torch.Tensor) -> None:
    model = scattered(DLinear(lookback=LOOKBACK, horizon=HORIZON, channels=CHANNELS, window=25))
    assert isinstance(model, DLinear)
    ours = model(series).detach().numpy()
    for b, c in np.ndindex(2, CHANNELS):
        past = series[b, :, c].numpy()
        near = [[past[min(max(t + o, 0), LOOKBACK - 1)] for o in range(-12, 13)]
                for t in range(LOOKBACK)]  # fmt: skip
        trend = np.mean(near, axis=1)
        theirs = mapped(model.trend, trend) + mapped(model.rest, past - trend)
        np.testing.assert_allclose(ours[b, :, c], theirs)


def test_dlinear_begins_with_the_mean(series: torch.Tensor) -> None:
    model = DLinear(lookback=LOOKBACK, horizon=HORIZON, channels=CHANNELS).double()
    for linear in (model.trend, model.rest):
        nn.init.zeros_(linear.bias)
    expected = series.mean(1, keepdim=True).expand(-1, HORIZON, -1)
    torch.testing.assert_close(model(series), expected)


def test_dlinear_needs_a_middle() -> None:
    with pytest.raises(ValueError, match="odd"):
        DLinear(lookback=LOOKBACK, horizon=HORIZON, channels=CHANNELS, window=24)


def test_rlinear_is_one_map_at_the_level_of_the_window(series: torch.Tensor) -> None:
    model = scattered(RLinear(lookback=LOOKBACK, horizon=HORIZON, channels=CHANNELS))
    assert isinstance(model, RLinear)
    ours = model(series).detach().numpy()
    scale, shift = (p.detach().numpy() for p in (model.norm.scale, model.norm.shift))
    for b, c in np.ndindex(2, CHANNELS):
        past = series[b, :, c].numpy()
        deviation = np.sqrt(past.var() + 1e-5)
        standard = (past - past.mean()) / deviation * scale[c] + shift[c]
        theirs = (mapped(model.map, standard) - shift[c]) / (scale[c] + 1e-10)
        np.testing.assert_allclose(ours[b, :, c], theirs * deviation + past.mean())


def test_rlinear_follows_the_level(series: torch.Tensor) -> None:
    model = scattered(RLinear(lookback=LOOKBACK, horizon=HORIZON, channels=CHANNELS))
    torch.testing.assert_close(model(series + 100), model(series) + 100)
