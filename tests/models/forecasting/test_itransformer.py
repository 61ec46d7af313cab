"""iTransformer against its equations, and its channels in another order."""

import math

import pytest
import torch
from torch import Tensor

from titans.models.forecasting import ITransformer

LOOKBACK, HORIZON, CHANNELS, DIM, HEADS = 24, 11, 5, 8, 2


def make(heads: int = HEADS) -> ITransformer:
    """A small one in float64, every number of it drawn at random."""
    torch.manual_seed(0)
    model = ITransformer(
        lookback=LOOKBACK,
        horizon=HORIZON,
        channels=CHANNELS,
        dim=DIM,
        layers=2,
        heads=heads,
        mlp_width=12,
        dropout=0.0,
    ).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.2 * torch.randn_like(parameter)
    return model


def layer_norm(x: Tensor, weights: dict[str, Tensor], name: str) -> Tensor:
    mean = x.mean()
    deviation = ((x - mean).square().mean() + 1e-5).sqrt()
    return (x - mean) / deviation * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def attended(tokens: list[Tensor], weights: dict[str, Tensor], name: str) -> list[Tensor]:
    """Equation by equation, a head and a token at a time."""
    rows = [weights[f"{name}.in_proj_weight"] @ x + weights[f"{name}.in_proj_bias"] for x in tokens]
    size = DIM // HEADS
    mixed = []
    for query_row in rows:
        heads = []
        for h in range(HEADS):
            query, keys, values = (
                [r[part * DIM + h * size :][:size] for r in ([query_row] if part == 0 else rows)]
                for part in range(3)
            )
            scores = torch.stack([query[0] @ key for key in keys]) / math.sqrt(size)
            share = scores.exp() / scores.exp().sum()
            heads.append(sum(s * v for s, v in zip(share, values, strict=True)))
        out = weights[f"{name}.out_proj.weight"] @ torch.cat(heads)
        mixed.append(out + weights[f"{name}.out_proj.bias"])
    return mixed


def literal(model: ITransformer, window: Tensor) -> Tensor:
    """The forecast `[horizon, channels]` of one window, after section 3 of the paper."""
    w = dict(model.state_dict())
    levels = [(x.mean(), (x.var(unbiased=False) + 1e-5).sqrt()) for x in window.T]
    tokens = [
        w["embedding.0.weight"] @ ((x - mean) / deviation) + w["embedding.0.bias"]
        for x, (mean, deviation) in zip(window.T, levels, strict=True)
    ]
    for index in range(2):
        at = f"encoder.{index}"
        mixed = attended(tokens, w, f"{at}.self_attn")
        tokens = [layer_norm(x + y, w, f"{at}.norm1") for x, y in zip(tokens, mixed, strict=True)]
        hidden = [w[f"{at}.linear1.weight"] @ x + w[f"{at}.linear1.bias"] for x in tokens]
        hidden = [h * (1 + torch.erf(h / math.sqrt(2))) / 2 for h in hidden]
        tokens = [
            layer_norm(
                x + w[f"{at}.linear2.weight"] @ h + w[f"{at}.linear2.bias"], w, f"{at}.norm2"
            )
            for x, h in zip(tokens, hidden, strict=True)
        ]
    tokens = [layer_norm(x, w, "encoder.2") for x in tokens]
    columns = [
        (w["head.weight"] @ x + w["head.bias"]) * deviation + mean
        for x, (mean, deviation) in zip(tokens, levels, strict=True)
    ]
    return torch.stack(columns, 1)


@torch.no_grad()
@pytest.mark.parametrize("training", [False, True])
def test_equals_its_equations(training: bool) -> None:
    # Without dropout the two modes differ only in torch's path.
    model = make().train(training)
    series = 3 + 2 * torch.randn(2, LOOKBACK, CHANNELS, dtype=torch.float64)
    expected = torch.stack([literal(model, window) for window in series])
    torch.testing.assert_close(model(series), expected)


@torch.no_grad()
def test_channels_in_another_order_are_forecast_in_that_order() -> None:
    model = make().eval()
    series = torch.randn(3, LOOKBACK, CHANNELS, dtype=torch.float64)
    order = torch.tensor([3, 0, 4, 1, 2])
    torch.testing.assert_close(model(series[..., order]), model(series)[..., order])


@torch.no_grad()
def test_a_channel_moves_the_others() -> None:
    model = make().eval()
    series = torch.randn(1, LOOKBACK, CHANNELS, dtype=torch.float64)
    changed = series.clone()
    changed[:, 7, 1] += 1
    assert (model(series) - model(changed)).abs().amax((0, 1)).min() > 0


def test_its_blocks_begin_apart() -> None:
    first, second = make().encoder[:2]
    assert not torch.equal(first.linear1.weight, second.linear1.weight)


def test_heads_that_do_not_divide_are_refused() -> None:
    with pytest.raises(ValueError, match="3 heads do not divide a width of 8: set dim"):
        make(heads=3)
