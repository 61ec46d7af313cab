"""TiDE against its equations, with and without the normalisation of windows and of steps."""

import pytest
import torch
from torch import Tensor

from titans.models.forecasting import TiDE

LOOKBACK, HORIZON, CHANNELS, STEP_DIM = 24, 7, 3, 5


def make(reversible: bool, step_norm: bool) -> TiDE:
    """A small one in float64, every number of it drawn at random."""
    torch.manual_seed(0)
    model = TiDE(
        lookback=LOOKBACK,
        horizon=HORIZON,
        channels=CHANNELS,
        dim=8,
        layers=2,
        step_dim=STEP_DIM,
        step_width=6,
        dropout=0.0,
        reversible=reversible,
        step_norm=step_norm,
    ).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.2 * torch.randn_like(parameter)
    return model


def residual(x: Tensor, weights: dict[str, Tensor], name: str) -> Tensor:
    """A block: its MLP, its linear skip, then a layer norm where there is one."""
    hidden = (weights[f"{name}.mlp.0.weight"] @ x + weights[f"{name}.mlp.0.bias"]).clamp(min=0)
    out = weights[f"{name}.mlp.2.weight"] @ hidden + weights[f"{name}.mlp.2.bias"]
    out = out + weights[f"{name}.skip.weight"] @ x + weights[f"{name}.skip.bias"]
    if f"{name}.norm.weight" not in weights:
        return out
    deviation = (out.var(unbiased=False) + 1e-5).sqrt()
    standard = (out - out.mean()) / deviation
    return standard * weights[f"{name}.norm.weight"] + weights[f"{name}.norm.bias"]


def literal(weights: dict[str, Tensor], past: Tensor) -> Tensor:
    """The forecast `[horizon]` of one channel: section 4 of the paper, without covariates.

    Where a step ends in a layer norm of one number, that is `(x - x) / sqrt(eps)`, and its shift.
    """
    linear = weights["linear.weight"] @ past + weights["linear.bias"]
    if "shift" in weights:
        return linear + weights["shift"]
    code = past
    for block in range(4):
        code = residual(code, weights, f"dense.{block}")
    steps = [code[t * STEP_DIM : (t + 1) * STEP_DIM] for t in range(HORIZON)]
    decoded = torch.cat([residual(vector, weights, "step") for vector in steps])
    return decoded + linear


@torch.no_grad()
@pytest.mark.parametrize("reversible", [False, True])
@pytest.mark.parametrize("step_norm", [False, True])
def test_equals_its_equations(reversible: bool, step_norm: bool) -> None:
    model = make(reversible, step_norm)
    series = 3 + 2 * torch.randn(2, LOOKBACK, CHANNELS, dtype=torch.float64)
    weights = dict(model.state_dict())
    expected = torch.empty(2, HORIZON, CHANNELS, dtype=torch.float64)
    for window in range(2):
        for channel in range(CHANNELS):
            past = series[window, :, channel]
            if not reversible:
                expected[window, :, channel] = literal(weights, past)
                continue
            mean, deviation = past.mean(), (past.var(unbiased=False) + 1e-5).sqrt()
            scale, shift = weights["norm.scale"][channel], weights["norm.shift"][channel]
            ahead = literal(weights, (past - mean) / deviation * scale + shift)
            expected[window, :, channel] = (ahead - shift) / (scale + 1e-10) * deviation + mean
    torch.testing.assert_close(model(series), expected)


def test_a_layer_norm_of_one_number_is_its_shift() -> None:
    norm = torch.nn.LayerNorm(1)
    torch.nn.init.normal_(norm.bias)
    assert torch.equal(norm(torch.randn(50, 1)), norm.bias.expand(50, 1))


@pytest.mark.parametrize("step_norm", [False, True])
def test_all_of_it_learns(step_norm: bool) -> None:
    model = make(reversible=False, step_norm=step_norm)
    model(torch.randn(4, LOOKBACK, CHANNELS, dtype=torch.float64)).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in model.parameters())
