"""Crossformer against its equations: one channel, one segment, one head at a time."""

from collections.abc import Callable
from typing import Any

import hydra
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.models.forecasting.learning import assert_all_trained, learn, sines
from titans.models.forecasting import Crossformer
from titans.models.forecasting.crossformer import Attend, Merge, Residual, TwoStageAttention


def attend(layer: Attend, queries: Tensor, keys: Tensor) -> Tensor:
    """Multi-head attention of `[to, dim]` to `[from, dim]`, by its definition."""
    inner, heads = layer.attention, []
    maps = zip(inner.in_proj_weight.chunk(3), inner.in_proj_bias.chunk(3), strict=True)
    q, k, v = (x @ w.T + b for x, (w, b) in zip((queries, keys, keys), maps, strict=True))
    width = q.shape[1] // inner.num_heads
    for head in range(inner.num_heads):
        own = slice(head * width, (head + 1) * width)
        scores = q[:, own] @ k[:, own].T / width**0.5
        heads.append(scores.softmax(-1) @ v[:, own])
    return torch.cat(heads, -1) @ inner.out_proj.weight.T + inner.out_proj.bias


def after(layer: Residual, x: Tensor, attended: Tensor) -> Tensor:
    first, _, second = layer.mlp
    x = norm(layer.first_norm, x + attended)
    inner = F.gelu(x @ first.weight.T + first.bias)
    return norm(layer.second_norm, x + inner @ second.weight.T + second.bias)


def norm(layer: nn.LayerNorm, x: Tensor) -> Tensor:
    spread = (x.var(-1, keepdim=True, unbiased=False) + layer.eps).sqrt()
    return (x - x.mean(-1, keepdim=True)) / spread * layer.weight + layer.bias


def shaken(module: nn.Module) -> nn.Module:
    """In float64, with no weight left at a start that would hide it."""
    torch.manual_seed(0)
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.5)
    return module.double().eval()


def two_stages(layer: TwoStageAttention, x: Tensor) -> Tensor:
    """Equations 3 to 5 of one window `[channels, segments, dim]`."""
    z = torch.stack([after(layer.after_time, c, attend(layer.time, c, c)) for c in x])
    out = []
    for segment in range(x.shape[1]):
        across = z[:, segment]
        routers = attend(layer.gather, layer.routers[segment], across)
        out.append(after(layer.after_channels, across, attend(layer.spread, across, routers)))
    return torch.stack(out, dim=1)


def test_two_stage_attention_is_its_equations() -> None:
    layer = shaken(TwoStageAttention(4, 6, 2, 10, 3, 0.2))
    x = torch.randn(2, 5, 4, 6, dtype=torch.float64)
    expected = torch.stack([two_stages(layer, window) for window in x])
    torch.testing.assert_close(layer(x), expected)


@pytest.mark.parametrize("segments", [1, 4, 5])
def test_merging_joins_neighbours(segments: int) -> None:
    layer = shaken(Merge(6))
    x = torch.randn(2, 3, segments, 6, dtype=torch.float64)
    found = layer(x)
    assert found.shape == (2, 3, (segments + 1) // 2, 6)
    for place in range(found.shape[2]):
        pair = torch.cat([x[:, :, 2 * place], x[:, :, min(2 * place + 1, segments - 1)]], -1)
        expected = norm(layer.norm, pair) @ layer.linear.weight.T + layer.linear.bias
        torch.testing.assert_close(found[:, :, place], expected)


def small(**settings: Any) -> Crossformer:
    torch.manual_seed(0)
    arguments: dict[str, Any] = {
        "lookback": 36, "horizon": 12, "channels": 3, "dim": 16, "hidden": 16, "heads": 2,
        "layers": 3, "segment": 4, "routers": 2, "dropout": 0.0,
    } | settings  # fmt: skip
    return Crossformer(**arguments)


@torch.no_grad()
def test_the_forecast_is_the_sum_over_scales() -> None:
    model = shaken(small(lookback=34, horizon=10))
    series = torch.randn(1, 34, 3, dtype=torch.float64)
    scales = [s[0] for s in model.encode(series)]
    assert [len(s[0]) for s in scales] == [9, 9, 5, 3]
    # The first segment is filled up with the first value.
    filled = torch.cat([series[0, :1], series[0, :1], series[0]]).T.unflatten(1, (9, 4))
    start = filled @ model.embedding.weight.T + model.positions
    torch.testing.assert_close(scales[0], norm(model.norm, start))
    x, forecast = model.queries, torch.zeros(12, 3, dtype=torch.float64)
    for layer, encoded in zip(model.decoder, scales, strict=True):
        x = two_stages(layer.stages, x)
        read = torch.stack([attend(layer.cross, *p) for p in zip(x, encoded, strict=True)])
        x = after(layer.after, x, read)
        forecast += (x @ layer.output.weight.T + layer.output.bias).flatten(1).T
    torch.testing.assert_close(model(series)[0], forecast[:10])


def test_learns_a_small_series_with_every_parameter() -> None:
    model = small()
    losses = learn(model, sines(48, every=8), 36, steps=60, lr=3e-3)
    assert losses[-1] < 0.05 < losses[0]
    assert_all_trained(model)


def test_the_authors_configuration_can_be_set(compose: Callable[..., Any]) -> None:
    sizes = {"dim": 256, "hidden": 512, "layers": 3, "segment": 12}
    chosen = [f"model.forecaster.{name}={size}" for name, size in sizes.items()]
    config = compose("model=forecasting/crossformer", "task=timeseries", *chosen)
    model = hydra.utils.instantiate(config.task.network, _convert_="all")
    assert [len(s.routers) for s in model.encoder] == [8, 4, 2]
    assert sum(p.numel() for p in model.parameters()) == pytest.approx(11.2e6, rel=0.01)


@pytest.mark.parametrize(
    ("settings", "named"),
    [({"layers": 0}, "0 layers"), ({"segment": 0}, "0 steps"), ({"heads": 3}, "3 heads")],
    ids=str,
)
def test_what_cannot_be_is_refused(settings: dict[str, int], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        small(**settings)
