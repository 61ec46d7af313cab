"""The long convolution equals the sum that defines it, value and gradient, in any pieces."""

import pytest
import torch
from torch import Tensor

from titans.ops.long_convolution import FEW, long_convolution

BATCH, DIM = 2, 3


def make(time: int, length: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(BATCH, time, DIM, dtype=dtype, generator=generator)
    return x, torch.randn(length, DIM, dtype=dtype, generator=generator)


def by_definition(x: Tensor, kernel: Tensor) -> Tensor:
    rows = []
    for t in range(x.shape[1]):
        reach = range(min(t + 1, len(kernel)))
        rows.append(torch.stack([kernel[s] * x[:, t - s] for s in reach]).sum(0))
    return torch.stack(rows, dim=1)


@pytest.mark.parametrize("length", [1, 2, 50, FEW, 200])
@pytest.mark.parametrize("time", [1, 2, FEW, FEW + 1, 130])
def test_equals_the_definition(time: int, length: int) -> None:
    leaves = [z.requires_grad_() for z in make(time, length)]
    expected = by_definition(*leaves)
    found, past = long_convolution(*leaves)
    torch.testing.assert_close(found, expected, atol=1e-12, rtol=0)
    assert past.shape == (BATCH, length - 1, DIM)
    projection = torch.randn_like(expected)
    for one, other in zip(
        *(torch.autograd.grad((y * projection).sum(), leaves) for y in (found, expected)),
        strict=True,
    ):
        torch.testing.assert_close(one, other, atol=1e-11, rtol=0)


@pytest.mark.parametrize("length", [1, 7, 300])
@pytest.mark.parametrize("sizes", [[1] * 150, [0, 70, 0, 1, 79, 0], [149, 1], [3, 147]], ids=str)
def test_any_pieces_are_the_whole(sizes: list[int], length: int) -> None:
    x, kernel = make(150, length)
    pieces, past = [], None
    for piece in x.split(sizes, dim=1):
        y, past = long_convolution(piece, kernel, past)
        assert past.untyped_storage().nbytes() == past.nbytes
        pieces.append(y)
    torch.testing.assert_close(torch.cat(pieces, dim=1), by_definition(x, kernel))
    torch.testing.assert_close(past, long_convolution(x, kernel)[1])


def test_few_tokens_see_exactly_nothing_later() -> None:
    x, kernel = make(FEW, 100, torch.float32)
    changed = x.clone()
    changed[:, 40] += 1e6
    before, after = long_convolution(x, kernel)[0], long_convolution(changed, kernel)[0]
    assert torch.equal(before[:, :40], after[:, :40])


def test_precise_under_autocast() -> None:
    x, kernel = make(200, 100, torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y, past = long_convolution(x.bfloat16(), kernel)
    expected, _ = long_convolution(x.bfloat16().float(), kernel)
    assert (y.dtype, past.dtype) == (torch.bfloat16, torch.float32)
    torch.testing.assert_close(y, expected.bfloat16())
