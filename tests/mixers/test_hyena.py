"""Hyena equals its definition, token by token in float64, with a kernel shorter than the text."""

import math

import pytest
import torch
from torch import Tensor

from titans.mixers import Hyena
from titans.mixers.hyena import ImplicitFilter

DIM, LENGTH, TIME = 6, 9, 90


def make() -> Hyena:
    torch.manual_seed(0)
    return Hyena(DIM, length=LENGTH, width=8).double()


def inputs() -> Tensor:
    return torch.randn(
        2, TIME, DIM, dtype=torch.float64, generator=torch.Generator().manual_seed(1)
    )


def test_the_kernel_is_a_function_of_the_position() -> None:
    module = make().filter
    first, _, second, _, third, _, last = (m for m in module.mlp)
    kernel = module()
    for s in range(LENGTH):
        t, angle = s / (LENGTH - 1), 2 * math.pi * s / LENGTH
        x = torch.tensor(
            [t, math.cos(1e-4 * angle), math.cos(angle), -math.sin(1e-4 * angle), -math.sin(angle)],
            dtype=torch.float64,
        )
        for layer in (first, second, third):
            x = torch.sin(10 * layer(x))
        taps = last(x)
        for channel in range(DIM):
            slow, fast = math.log(100) / 1.5, math.log(100) / 0.3
            rate = slow + (fast - slow) * channel / (DIM - 1)
            expected = taps[channel] * (math.exp(-rate * t) + 0.05)
            torch.testing.assert_close(kernel[s, channel], expected, atol=1e-7, rtol=1e-6)


@torch.no_grad()
def test_equals_the_definition() -> None:
    module, x = make(), inputs()
    gate, key, value = module.projection(x)[0].chunk(3, dim=-1)
    written, kernel = key * value, module.filter()
    rows = []
    for t in range(TIME):
        seen = sum(kernel[s] * written[:, t - s] for s in range(min(t + 1, LENGTH)))
        rows.append(module.output(gate[:, t] * (seen + module.skip * written[:, t])))
    torch.testing.assert_close(module(x)[0], torch.stack(rows, dim=1))


@torch.no_grad()
@pytest.mark.parametrize("sizes", [[1] * TIME, [0, 5, 70, 0, 15], [TIME - 1, 1]], ids=str)
def test_any_pieces_are_the_whole(sizes: list[int]) -> None:
    module, x = make(), inputs()
    pieces, state = [], None
    for piece in x.split(sizes, dim=1):
        y, state = module(piece, state)
        pieces.append(y)
        assert state.long.shape == (2, LENGTH - 1, DIM)
    torch.testing.assert_close(torch.cat(pieces, dim=1), module(x)[0])


def test_one_tap() -> None:
    assert ImplicitFilter(4, 1)().shape == (1, 4)
    with pytest.raises(ValueError, match="length=0"):
        Hyena(4, length=0)
