"""Retention, GLA, HGRN2 and Mamba2 are their papers' equations, in any precision."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from titans.memory.projection import merge_heads, split_heads
from titans.mixers import GLA, HGRN2, Mamba2, Mixer, Retention
from titans.mixers.retention import log_retention
from titans.ops.rotary import rotate

DIM, HEADS, TIME = 16, 2, 70
MAKERS: list[Callable[..., Mixer]] = [Retention, GLA, HGRN2, Mamba2]


def make(maker: Callable[..., Mixer], **settings: Any) -> Mixer:
    torch.manual_seed(0)
    return maker(DIM, **({} if maker is Mamba2 else {"heads": HEADS}), **settings).double()


def sequence(time: int = TIME) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(2, time, DIM, generator=generator, dtype=torch.float64)


def tensors(state: Any) -> Iterator[Tensor]:
    yield from (state,) if isinstance(state, Tensor) else state


@pytest.mark.parametrize("maker", MAKERS)
def test_pieces_are_the_whole_in_float64(maker: Callable[..., Mixer]) -> None:
    mixer, x = make(maker), sequence()
    whole, end = mixer(x)
    pieces, state = [], None
    for piece in x.split([3, 0, 1, 40, 26], dim=1):
        y, state = mixer(piece, state)
        pieces.append(y)
    torch.testing.assert_close(torch.cat(pieces, dim=1), whole, atol=1e-12, rtol=0)
    for found, expected in zip(tensors(state), tensors(end), strict=True):
        torch.testing.assert_close(found, expected, atol=1e-12, rtol=0)


@pytest.mark.parametrize("maker", MAKERS)
def test_autocast_keeps_the_state_precise(maker: Callable[..., Mixer]) -> None:
    mixer, x = make(maker).float(), sequence().float()
    expected, end = mixer(x)
    with torch.autocast("cpu", torch.bfloat16):
        first, state = mixer(x[:, :30])
        second, state = mixer(x[:, 30:], state)
        (first.float().sum() + second.float().sum()).backward()
    memory = next(tensors(state))
    assert memory.dtype == torch.float32
    torch.testing.assert_close(memory, next(tensors(end)), atol=0.05, rtol=0.05)
    found = torch.cat([first, second], dim=1).float()
    torch.testing.assert_close(found, expected, atol=0.05, rtol=0.05)
    assert all(torch.isfinite(p.grad).all() for p in mixer.parameters() if p.grad is not None)


@pytest.mark.parametrize("maker", MAKERS)
def test_a_model_in_bfloat16(maker: Callable[..., Mixer]) -> None:
    mixer, x = make(maker).bfloat16(), sequence().bfloat16()
    y, state = mixer(x)
    assert y.dtype == torch.bfloat16
    assert next(tensors(state)).dtype == torch.float32
    assert mixer(x, state)[0].isfinite().all()


def test_retention_is_its_parallel_form() -> None:
    """`(Q K^T * D) V` with absolute positions (RetNet, equation 5)."""
    mixer, x = make(Retention), sequence()
    assert isinstance(mixer, Retention)
    parts = mixer.projection(x).split([DIM, DIM, 2 * DIM], dim=-1)
    q, k, v = (split_heads(part, HEADS) for part in parts)
    q, k = rotate(q, 1000), rotate(k, 1000)
    gamma = 1 - 2.0 ** (-5 - torch.arange(HEADS, dtype=torch.float64))
    torch.testing.assert_close(log_retention(HEADS, x)[:, 0].exp(), gamma)
    n = torch.arange(TIME)
    decay = (gamma[:, None, None] ** (n[:, None] - n)).tril()
    y = ((q @ k.mT) * (DIM // HEADS) ** -0.5 * decay) @ v
    y = merge_heads(F.layer_norm(y, (2 * DIM // HEADS,)))
    expected = mixer.output.output(y * F.silu(mixer.output.gate(x)))
    torch.testing.assert_close(mixer(x)[0], expected, atol=1e-10, rtol=0)


def test_gla_is_its_recurrence() -> None:
    mixer, x = make(GLA), sequence()
    assert isinstance(mixer, GLA)
    key = DIM // 2
    parts = [*mixer.projection(x).split([key, key, DIM], dim=-1), mixer.gate(x)]
    q, k, v, gate = (split_heads(part, HEADS) for part in parts)
    state, reads = torch.zeros(2, HEADS, key // HEADS, DIM // HEADS, dtype=torch.float64), []
    for t in range(TIME):
        alpha = gate[:, :, t].sigmoid() ** (1 / 16)
        state = alpha[..., None] * state + k[:, :, t, :, None] * v[:, :, t, None]
        reads.append((q[:, :, t, None] @ state) * (key // HEADS) ** -0.5)
    expected = mixer.output(torch.cat(reads, dim=2), x)
    torch.testing.assert_close(mixer(x)[0], expected, atol=1e-12, rtol=0)


def test_hgrn2_is_its_recurrence() -> None:
    mixer, x = make(HGRN2, lower_bound=0.3), sequence()
    assert isinstance(mixer, HGRN2)
    q, gate, v = (split_heads(part, HEADS) for part in mixer.projection(x).chunk(3, dim=-1))
    forget = 0.3 + 0.7 * gate.sigmoid()
    state, reads = torch.zeros(2, HEADS, DIM // HEADS, DIM // HEADS, dtype=torch.float64), []
    for t in range(TIME):
        f = forget[:, :, t, :, None]
        state = f * state + (1 - f) * v[:, :, t, None]
        reads.append(F.silu(q[:, :, t, None]) @ state)
    expected = mixer.output(mixer.norm(merge_heads(torch.cat(reads, dim=2))))
    torch.testing.assert_close(mixer(x)[0], expected, atol=1e-6, rtol=0)


def test_hgrn2_has_no_gate_that_is_not_finite() -> None:
    mixer, x = make(HGRN2), sequence()
    with torch.no_grad():
        for parameter in mixer.parameters():
            parameter.mul_(1000)
    y, _ = mixer(x)
    y.sum().backward()
    assert y.isfinite().all()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in mixer.parameters())


@pytest.mark.parametrize(
    ("maker", "settings", "named"),
    [
        (Retention, {"heads": 3}, "3 heads"),
        (Retention, {"heads": 16}, "16 heads"),
        (Retention, {"value_expansion": 0.1}, "heads do not divide 0.1"),
        (GLA, {"heads": 5}, "5 heads"),
        (GLA, {"key_expansion": 0.0}, "heads do not divide 0.0"),
        (HGRN2, {"heads": 3}, "3 heads"),
        (HGRN2, {"lower_bound": 1.0}, "lower_bound=1.0"),
        (Mamba2, {"head_dim": 5}, "heads of 5"),
    ],
)
def test_refuses_what_cannot_work(
    maker: Callable[..., Mixer], settings: dict[str, Any], named: str
) -> None:
    with pytest.raises(ValueError, match=named):
        maker(DIM, **settings)
