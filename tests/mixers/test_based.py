"""Based equals the quadratic form of its equations, value and gradient, in float64."""

import math
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from titans.mixers import Based
from titans.ops.taylor_attention import chunked, features

BATCH, HEADS, DIM, OUT = 2, 3, 4, 5


def make(time: int, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    normal = partial(torch.randn, dtype=dtype, generator=torch.Generator().manual_seed(0))
    return [normal(BATCH, HEADS, time, width) for width in (DIM, DIM, OUT)]


def quadratic(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """The average of the values up to each token, with the weight of every pair."""
    rows = []
    for t in range(queries.shape[2]):
        scores = [(queries[:, :, t] * keys[:, :, s]).sum(-1) / DIM**0.5 for s in range(t + 1)]
        weights = torch.stack([1 + a + a**2 / 2 for a in scores], dim=-1)
        weights = weights / weights.sum(-1, keepdim=True)
        rows.append((weights[..., None] * values[:, :, : t + 1]).sum(2))
    return torch.stack(rows, dim=2)


def test_features_give_the_expansion() -> None:
    queries, keys, _ = make(1)
    found = (features(queries) * features(keys)).sum(-1)
    score = (queries * keys).sum(-1) / DIM**0.5
    torch.testing.assert_close(found, 1 + score + score**2 / 2)
    assert features(queries).shape[-1] == 1 + DIM + DIM * (DIM + 1) // 2


@pytest.mark.parametrize("chunk_size", [1, 4, 64])
@pytest.mark.parametrize("time", [1, 4, 13])
def test_equals_the_quadratic_form(time: int, chunk_size: int) -> None:
    leaves = [x.requires_grad_() for x in make(time)]
    expected = quadratic(*leaves)
    found, _ = chunked(*leaves, chunk_size=chunk_size)
    torch.testing.assert_close(found, expected, atol=1e-12, rtol=1e-10)
    projection = torch.randn_like(expected)
    pairs = zip(
        *(torch.autograd.grad((y * projection).sum(), leaves) for y in (found, expected)),
        strict=True,
    )
    for one, other in pairs:
        torch.testing.assert_close(one, other, atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize("sizes", [[13], [1] * 13, [0, 5, 0, 7, 1]], ids=str)
def test_the_state_continues_a_sequence(sizes: list[int]) -> None:
    case = make(13)
    expected = quadratic(*case)
    pieces: list[Tensor] = []
    state: Any = None
    for piece in zip(*(x.split(sizes, dim=2) for x in case), strict=True):
        y, state = chunked(*piece, state, chunk_size=4)
        pieces.append(y)
    torch.testing.assert_close(torch.cat(pieces, dim=2), expected, atol=1e-12, rtol=1e-10)
    ones = torch.ones(BATCH, HEADS, 13, 1, dtype=torch.float64)
    sums = features(case[1]).mT @ torch.cat([case[2], ones], dim=-1)
    torch.testing.assert_close(state, sums)


def test_sums_are_precise_under_autocast() -> None:
    torch.manual_seed(0)
    mixer, x = Based(8, heads=2), torch.randn(2, 20, 8)
    expected, _ = mixer(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y, state = mixer(x)
    assert state.sums.dtype == torch.float32
    torch.testing.assert_close(y.float(), expected, atol=3e-2, rtol=3e-2)


def test_a_long_average_stays_one() -> None:
    queries, keys, values = make(1000, torch.float32)
    y, _ = chunked(queries, keys, torch.ones_like(values))
    torch.testing.assert_close(y, torch.ones_like(y))
    assert math.isfinite(y.sum())


def test_heads_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="3 heads"):
        Based(8, heads=3)
