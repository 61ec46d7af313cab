"""What every forecaster promises: shapes, windows apart, gradients, and that it learns."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from titans.models.forecasting import ITransformer, PatchTST, TiDE

LOOKBACK, CHANNELS = 32, 3
Make = Callable[..., nn.Module]


def patchtst(**sizes: int) -> nn.Module:
    return PatchTST(**sizes, dim=16, layers=2, heads=2, mlp_width=32, patch=8, stride=4)


def itransformer(**sizes: int) -> nn.Module:
    return ITransformer(**sizes, dim=16, layers=2, heads=2, mlp_width=32)


def tide(**sizes: int) -> nn.Module:
    return TiDE(**sizes, dim=16, step_dim=4, step_width=8, step_norm=False)


every = pytest.mark.parametrize("make", [patchtst, itransformer, tide], ids=lambda f: f.__name__)


@every
@pytest.mark.parametrize("horizon", [1, 7, 33])
def test_any_horizon(make: Make, horizon: int) -> None:
    model = make(lookback=LOOKBACK, horizon=horizon, channels=CHANNELS)
    assert model(torch.randn(2, LOOKBACK, CHANNELS)).shape == (2, horizon, CHANNELS)


@every
@pytest.mark.parametrize("lookback", [17, 32])
def test_one_channel_and_an_odd_lookback(make: Make, lookback: int) -> None:
    model = make(lookback=lookback, horizon=5, channels=1)
    assert model(torch.randn(2, lookback, 1)).shape == (2, 5, 1)


@every
@torch.no_grad()
def test_a_window_does_not_see_another(make: Make) -> None:
    model = make(lookback=LOOKBACK, horizon=5, channels=CHANNELS).double().eval()
    series = torch.randn(4, LOOKBACK, CHANNELS, dtype=torch.float64)
    torch.testing.assert_close(model(series)[2:3], model(series[2:3]))


@every
@torch.no_grad()
def test_level_and_scale_of_a_window_come_back(make: Make) -> None:
    model = make(lookback=LOOKBACK, horizon=5, channels=CHANNELS).double().eval()
    series = torch.randn(2, LOOKBACK, CHANNELS, dtype=torch.float64)
    expected = 100 + 7 * model(series)
    torch.testing.assert_close(model(100 + 7 * series), expected, rtol=1e-4, atol=1e-3)


@every
def test_learns_a_wave(make: Make) -> None:
    torch.manual_seed(0)
    model = make(lookback=LOOKBACK, horizon=8, channels=CHANNELS)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    time = torch.arange(LOOKBACK + 8)[:, None] + 40 * torch.rand(64, 1, CHANNELS)
    wave = torch.sin(time * torch.tensor([0.3, 0.5, 0.8]))
    losses = []
    for _ in range(60):
        loss = nn.functional.mse_loss(model(wave[:, :LOOKBACK]), wave[:, LOOKBACK:])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    assert losses[-1] < 0.3 * losses[0], losses[:: len(losses) - 1]
