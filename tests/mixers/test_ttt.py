"""TTT computes the equations of its paper, token by token."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from titans.mixers import TTT

DIM, HEADS, CHUNK, TIME = 12, 2, 4, 11
HEAD = DIM // HEADS
VARIANTS: dict[str, dict[str, Any]] = {
    "linear": {"depth": 1, "base_lr": 1.0},
    "mlp": {"depth": 2, "base_lr": 0.1},
    "mlp that learns fast": {"depth": 2, "base_lr": 2.0},
}


def make(**more: Any) -> TTT:
    torch.manual_seed(0)
    layer = TTT(DIM, heads=HEADS, chunk_size=CHUNK, **more).double()
    nn.init.normal_(layer.learning_rate.weight)
    return layer


def inputs(time: int = TIME) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(1, time, DIM, dtype=torch.float64, generator=generator)


def inner(weights: list[Tensor], x: Tensor) -> Tensor:
    """`x + LN(W_2 gelu(W_1 x))`, or `x + LN(W x)`, of one token."""
    hidden = weights[0] @ x
    for weight in weights[1:]:
        hidden = weight @ F.gelu(hidden)
    deviation = ((hidden - hidden.mean()).square().mean() + 1e-5).sqrt()
    return x + (hidden - hidden.mean()) / deviation


def turned(x: Tensor, position: int) -> Tensor:
    """Rotary embedding by complex numbers."""
    half = len(x) // 2
    angle = position * 10_000.0 ** (-torch.arange(half, dtype=x.dtype) / half)
    pairs = torch.complex(x[:half], x[half:]) * torch.polar(torch.ones_like(angle), angle)
    return torch.cat([pairs.real, pairs.imag])


def literal(layer: TTT, x: Tensor, base_lr: float) -> Tensor:
    """What the layer should give for one sequence `[time, dim]`."""
    projected = layer.projection(x[None])[0][0]
    rates = base_lr / HEAD * torch.sigmoid(layer.learning_rate(x))
    read = torch.zeros_like(x)
    for head in range(HEADS):
        channels = slice(head * HEAD, (head + 1) * HEAD)
        queries, keys, values = (p[:, channels] for p in projected.chunk(3, dim=-1))
        weights = [w[head] for w in layer.initial]
        for t in range(len(x)):
            position = t % CHUNK
            if position == 0:
                anchor = weights
            key, query = turned(keys[t], position), turned(queries[t], position)
            loss = (inner(anchor, key) - values[t]).square().sum()
            slopes = torch.autograd.grad(loss, anchor, create_graph=True)
            weights = [w - rates[t, head] * g for w, g in zip(weights, slopes, strict=True)]
            read[t, channels] = inner(weights, query)
    return layer.output(layer.norm(read) * F.gelu(layer.output_gate(x)))


@pytest.mark.parametrize("variant", VARIANTS)
def test_equals_the_equations(variant: str) -> None:
    layer, x = make(**VARIANTS[variant]), inputs()
    found, expected = layer(x)[0][0], literal(layer, x[0], VARIANTS[variant]["base_lr"])
    torch.testing.assert_close(found, expected, atol=1e-10, rtol=0)
    probe = torch.randn_like(found)
    one, two = (
        torch.autograd.grad((y * probe).sum(), list(layer.parameters())) for y in (found, expected)
    )
    for (name, _), ours, theirs in zip(layer.named_parameters(), one, two, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-9, rtol=1e-9, msg=lambda m, n=name: n + m)


@torch.no_grad()
@pytest.mark.parametrize("sizes", [[1] * TIME, [0, 3, 2, 0, 6], [4, 7], [10, 1]], ids=str)
def test_any_pieces_are_the_whole(sizes: list[int]) -> None:
    layer, x = make(), inputs()
    whole, end = layer(x)
    pieces, state = [], None
    for piece in x.split(sizes, dim=1):
        y, state = layer(piece, state)
        pieces.append(y)
    torch.testing.assert_close(torch.cat(pieces, dim=1), whole, atol=1e-12, rtol=0)
    assert state.pending[0].shape[2] == TIME % CHUNK
    for found, expected in zip(state.weights, end.weights, strict=True):
        torch.testing.assert_close(found, expected, atol=1e-12, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize("variant", ["linear", "mlp"])
def test_the_inner_loss_falls_on_pairs_seen_again_and_again(variant: str) -> None:
    layer, x = make(**VARIANTS[variant]), inputs(CHUNK).repeat(1, 100, 1)
    _, state = layer(x)
    _, keys, values = layer.projection(x)[0][0, -CHUNK:].chunk(3, dim=-1)

    def loss(weights: Any) -> float:
        return sum(
            (inner([w[head] for w in weights], turned(key, t)) - value).square().sum().item()
            for head in range(HEADS)
            for t in range(CHUNK)
            for key, value in [(p[t, head * HEAD :][:HEAD] for p in (keys, values))]
        )

    assert loss([w[0] for w in state.weights]) < 0.7 * loss(layer.initial)


def test_learns_inside_autocast() -> None:
    layer, x = make().float(), inputs().float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y, state = layer(x)
        y.float().square().sum().backward()
    assert all(w.dtype == torch.float32 for w in state.weights)
    assert all(torch.isfinite(p.grad).all() for p in layer.parameters())


@pytest.mark.parametrize("wrong", [{"heads": 5}, {"depth": 0}, {"chunk_size": 0}], ids=str)
def test_refuses_what_has_no_meaning(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"(heads|1 or more)"):
        TTT(DIM, **wrong)
