"""The memory as a layer: streamed in any pieces, causal, one memory a sequence, and it recalls."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from titans.memory import (
    GELU,
    Gates,
    MemoryNetwork,
    MemoryState,
    NeuralMemory,
    NeuralMemoryState,
    memorize,
    memorize_reference,
)

DIM, CHUNK = 12, 4
VARIANTS: dict[str, dict[str, Any]] = {
    "default": {},
    "matrix": {"depth": 1},
    "deep": {"depth": 4},
    "no convolution": {"convolution": 0},
    "convolution of one": {"convolution": 1},
    "no momentum": {"gates": partial(Gates, momentum=False)},
    "no forgetting": {"gates": partial(Gates, forget=False)},
    "gates per layer": {"depth": 3, "gates": partial(Gates, layers=3)},
    "no clip": {"clip": None},
    "chunks of one": {"chunk_size": 1},
    "camera-ready": {"network": MemoryNetwork(residual=True, normalise=True, activation=GELU)},
}


def make(seed: int = 0, dtype: torch.dtype = torch.float64, **more: Any) -> NeuralMemory:
    torch.manual_seed(seed)
    layer = NeuralMemory(DIM, **{"heads": 3, "chunk_size": CHUNK} | more).to(dtype)
    # Gates that differ from token to token, as a trained layer's do.
    torch.nn.init.normal_(layer.gates.linear.weight)
    return layer


def inputs(time: int, batch: int = 2, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(batch, time, DIM, dtype=dtype, generator=torch.Generator().manual_seed(7))


def stream(layer: NeuralMemory, x: Tensor, sizes: Sequence[int]) -> tuple[Tensor, Any]:
    """The outputs and the last state, `x` read in pieces of these sizes."""
    assert sum(sizes) == x.shape[1]
    outputs, state = [], None
    for piece in x.split(list(sizes), dim=1):
        y, state = layer(piece, state)
        assert y.shape == piece.shape
        outputs.append(y)
    return torch.cat(outputs, dim=1), state


def tensors(state: Any) -> list[Tensor]:
    return [state] if isinstance(state, Tensor) else [t for part in state for t in tensors(part)]


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(
    "sizes",
    [[1] * 19, [0, 5, 0, 6, 8, 0], [4, 8, 7], [3, 1, 1, 3, 11], [18, 1], [0, 19]],
    ids=str,
)
def test_any_pieces_are_the_whole(variant: str, sizes: list[int]) -> None:
    layer, x = make(**VARIANTS[variant]), inputs(19)
    whole, end = layer(x)
    found, state = stream(layer, x, sizes)
    torch.testing.assert_close(found, whole, atol=1e-10, rtol=0)
    for one, other in zip(tensors(state), tensors(end), strict=True):
        torch.testing.assert_close(one, other, atol=1e-10, rtol=0)


def test_gradients_flow_through_a_stream() -> None:
    layer, x = make(), inputs(19)
    probe = torch.randn_like(x)
    for sizes in ([19], [5, 0, 6, 8]):
        layer.zero_grad()
        (stream(layer, x, sizes)[0] * probe).sum().backward()
        gradients = [p.grad.clone() for p in layer.parameters()]
        if sizes == [19]:
            expected = gradients
    for found, value in zip(gradients, expected, strict=True):
        torch.testing.assert_close(found, value, atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("at", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 18])
def test_a_token_changes_nothing_before_it(variant: str, at: int) -> None:
    layer, x = make(dtype=torch.float32, **VARIANTS[variant]), inputs(19, dtype=torch.float32)
    changed = x.clone()
    changed[:, at] += 1
    before, after = layer(x)[0], layer(changed)[0]
    assert torch.equal(before[:, :at], after[:, :at])
    assert not torch.equal(before[:, at], after[:, at])


def test_a_sequence_has_a_memory_of_its_own() -> None:
    layer, x = make(), inputs(19)
    changed = x.clone()
    changed[0] = -x[0]
    (before, state), (after, other) = layer(x), layer(changed)
    assert torch.equal(before[1], after[1])
    assert not torch.allclose(before[0], after[0])
    for one, two in zip(tensors(state), tensors(other), strict=True):
        assert torch.equal(one[1], two[1])
    torch.testing.assert_close(layer(x[1:])[0], before[1:], atol=1e-12, rtol=0)


def test_every_parameter_has_a_gradient() -> None:
    for variant in VARIANTS.values():
        layer = make(**variant)
        layer(inputs(19))[0].square().sum().backward()
        for name, parameter in layer.named_parameters():
            assert parameter.grad is not None, name
            assert torch.isfinite(parameter.grad).all(), name
            assert parameter.grad.abs().max() > 0, name


def test_a_gate_that_forgets_all_leaves_numbers() -> None:
    layer, x = make(dtype=torch.float32), inputs(19, dtype=torch.float32)
    with torch.no_grad():
        layer.gates.linear.bias[:3] = 18.0
        layer.gates.linear.weight.mul_(0.1)
    assert layer.gates(x)[0].max() == 1
    y, state = layer(x)
    y.square().sum().backward()
    assert all(t.isfinite().all() for t in (y, *tensors(state)))
    assert all(p.grad is not None and p.grad.isfinite().all() for p in layer.parameters())


def test_learns_inside_autocast() -> None:
    layer, x = make(dtype=torch.float32), inputs(CHUNK + 1, dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y, _ = layer(x)
        y.float().square().sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in layer.parameters() if p.grad is not None)
    assert all(w.grad is not None for w in layer.initial)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_depth_is_the_number_of_weight_matrices(depth: int) -> None:
    layer = make(depth=depth, expansion=2.0)
    shapes = [tuple(w.shape) for w in layer.start(5).weights]
    widths = [4, *[8] * (depth - 1), 4]
    assert shapes == [(5, 3, widths[i + 1], widths[i]) for i in range(depth)]
    assert all(s.eq(0).all() for s in layer.start(5).momentum)


def test_heads_divide_the_width() -> None:
    with pytest.raises(ValueError, match="5 heads"):
        NeuralMemory(12, heads=5)


def test_the_state_does_not_grow() -> None:
    layer = make()
    sizes = [sum(t.numel() for t in tensors(layer(inputs(n))[1])) for n in (0, 8, 80, 800)]
    assert len(set(sizes)) == 1
    in_chunk = sum(t.numel() for t in tensors(layer(inputs(83))[1]))
    assert sizes[0] < in_chunk < sizes[0] + CHUNK * 2 * 3 * DIM


def test_what_is_logged() -> None:
    layer = make()
    layer(inputs(19))
    assert set(layer.log) == {"alpha", "eta", "theta", "memory_norm"}
    assert all(value.shape == () and not value.requires_grad for value in layer.log.values())


def test_state_is_continued_and_not_changed() -> None:
    layer, x = make(), inputs(19)
    _, state = layer(x[:, :6])
    assert isinstance(state, NeuralMemoryState)
    kept = [t.clone() for t in tensors(state)]
    first, second = layer(x[:, 6:], state)[0], layer(x[:, 6:], state)[0]
    assert torch.equal(first, second)
    assert all(torch.equal(a, b) for a, b in zip(kept, tensors(state), strict=True))


@pytest.mark.parametrize("function", [memorize, memorize_reference])
def test_a_memory_recalls_what_was_written(function: Any) -> None:
    torch.manual_seed(0)
    dim, pairs = 8, 8
    keys = torch.linalg.qr(torch.randn(dim, dim))[0][None, None, :pairs]
    values = torch.randn(1, 1, pairs, dim)
    gate = torch.zeros(1, 1, pairs)
    empty = (torch.randn(1, 1, dim, dim),)
    # W - theta 2 (W k - v) k^T with theta = 1/2 maps k to v exactly, and leaves what is orthogonal.
    state = MemoryState(empty, (torch.zeros(1, 1, dim, dim),))
    _, state = function(keys, keys, values, gate, gate, gate + 0.5, state, chunk_size=1)
    recalled, _ = function(keys, keys, values, gate, gate, gate, state, chunk_size=pairs)
    torch.testing.assert_close(recalled, values, atol=1e-5, rtol=0)


def test_the_last_value_of_a_key_is_the_one_recalled() -> None:
    torch.manual_seed(0)
    keys = torch.nn.functional.normalize(torch.randn(1, 1, 1, 8), dim=-1).expand(-1, -1, 2, -1)
    values, gate = torch.randn(1, 1, 2, 8), torch.zeros(1, 1, 2)
    state = MemoryState((torch.randn(1, 1, 8, 8),), (torch.zeros(1, 1, 8, 8),))
    recalled, _ = memorize(keys, keys, values, gate, gate, gate + 0.5, state, chunk_size=1)
    torch.testing.assert_close(recalled, values, atol=1e-5, rtol=0)


def test_a_deep_memory_learns_pairs_that_it_reads_again_and_again() -> None:
    torch.manual_seed(0)
    layer = NeuralMemory(16, heads=1, depth=2, expansion=4.0)
    pairs, rounds = 8, 200
    keys = torch.nn.functional.normalize(torch.randn(1, 1, pairs, 16), dim=-1)
    values = torch.nn.functional.normalize(torch.randn(1, 1, pairs, 16), dim=-1)
    many = [x.repeat(1, 1, rounds, 1) for x in (keys, keys, values)]
    zero = torch.zeros(1, 1, pairs * rounds)
    gates = (zero, zero + 0.5, zero + 0.1)
    with torch.no_grad():
        start = layer.start(1)
        _, state = memorize(*many, *gates, start, chunk_size=4)
        before, after = (layer.network.read(s.weights, keys) - values for s in (start, state))
    assert after.norm() < 0.1 * before.norm()
