"""DeltaNet and Gated DeltaNet compute the equations of their papers, token by token."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from titans.mixers import DeltaNet, GatedDeltaNet

DIM, HEADS, TIME = 16, 2, 9


def inputs() -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(TIME, DIM, dtype=torch.float64, generator=generator)


def literal(layer: DeltaNet | GatedDeltaNet, x: Tensor, widths: list[int]) -> Tensor:
    """What each head reads, normalised, side by side: `[time, all]`."""
    projected = layer.projection(x[None])[0][0].split(widths, dim=-1)
    keep = torch.ones(TIME, HEADS, dtype=x.dtype)
    if isinstance(layer, GatedDeltaNet):
        keep = torch.exp(-layer.steps.log_rate.exp() * F.softplus(layer.steps.linear(x)))
    beta = torch.sigmoid(layer.beta(x))
    norm = layer.output.norm if isinstance(layer, GatedDeltaNet) else layer.norm
    heads = []
    for h in range(HEADS):
        q, k, v = (p.chunk(HEADS, dim=-1)[h] for p in projected)
        memory, read = torch.zeros(v.shape[1], k.shape[1], dtype=x.dtype), []
        for t in range(TIME):
            key, query = k[t] / k[t].norm(), q[t] / q[t].norm()
            old = keep[t, h] * memory @ key
            memory = keep[t, h] * memory + beta[t, h] * torch.outer(v[t] - old, key)
            read.append(memory @ query)
        heads.append(norm(torch.stack(read)))
    return torch.cat(heads, dim=-1)


def test_deltanet() -> None:
    torch.manual_seed(0)
    layer, x = DeltaNet(DIM, heads=HEADS).double(), inputs()
    expected = layer.output(literal(layer, x, [DIM] * 3))
    torch.testing.assert_close(layer(x[None])[0][0], expected, atol=1e-12, rtol=1e-10)


def test_gated_deltanet() -> None:
    torch.manual_seed(0)
    layer, x = GatedDeltaNet(DIM, heads=HEADS).double(), inputs()
    gate = F.silu(layer.output.gate(x))
    expected = layer.output.output(literal(layer, x, [12, 12, 24]) * gate)
    torch.testing.assert_close(layer(x[None])[0][0], expected, atol=1e-12, rtol=1e-10)


def test_the_parameters_are_six_squares() -> None:
    count = sum(p.numel() for p in GatedDeltaNet(256, heads=4).parameters())
    assert abs(count / 256**2 - 6) < 0.2


@pytest.mark.parametrize("make", [DeltaNet, GatedDeltaNet])
def test_learns_inside_autocast(make: type[DeltaNet | GatedDeltaNet]) -> None:
    torch.manual_seed(0)
    layer, x = make(DIM, heads=HEADS), inputs().float()[None]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y, state = layer(x)
        y.float().square().sum().backward()
    assert state.memory.dtype == torch.float32
    torch.testing.assert_close(y.float(), layer(x)[0], atol=0.1, rtol=0.1)
    assert all(torch.isfinite(p.grad).all() for p in layer.parameters())


def test_the_decay_starts_as_mamba2s() -> None:
    torch.manual_seed(0)
    _, decay = GatedDeltaNet(256, heads=64).steps(torch.zeros(1, 1, 256))
    log = decay[0, :, 0]
    assert log.min() >= -16 * 0.1
    assert log.max() <= -1e-3


@pytest.mark.parametrize("make", [DeltaNet, GatedDeltaNet])
def test_heads_divide_the_width(make: type[DeltaNet | GatedDeltaNet]) -> None:
    with pytest.raises(ValueError, match="5 heads"):
        make(DIM, heads=5)
