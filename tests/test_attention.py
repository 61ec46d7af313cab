"""Attention and MAC equal the equations, written out token by token in float64."""

import math
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from titans.memory import NeuralMemory, memorize_reference
from titans.memory.projection import Projection
from titans.mixers import MAC, Attention
from titans.ops.rotary import rotate

BATCH, HEADS, DIM, TIME = 2, 2, 8, 23
WIDTH = DIM // HEADS


def inputs(time: int = TIME, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(BATCH, time, DIM, dtype=dtype, generator=generator)


def shaken(module: nn.Module) -> Any:
    """In float64, with every parameter away from its start (0, 1, or near the identity)."""
    module = module.double()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    return module


def make(dtype: torch.dtype = torch.float64, **more: Any) -> Attention:
    torch.manual_seed(0)
    return shaken(Attention(DIM, heads=HEADS, **more)).to(dtype)


def turned(vector: Tensor, position: int) -> Tensor:
    """Rotary embedding of one vector, as a product of complex numbers."""
    half = len(vector) // 2
    angle = position * 10_000.0 ** (-torch.arange(half, dtype=torch.float64) / half)
    product = torch.complex(vector[:half], vector[half:]) * torch.polar(
        torch.ones(half).double(), angle
    )
    return torch.cat([product.real, product.imag])


def projected(module: Projection, x: Tensor) -> Tensor:
    """Linear map, causal convolution and perhaps SiLU of one sequence `[time, dim]`."""
    linear = x @ module.linear.weight.T
    if module.kernel is None:
        return module.activation(linear)
    rows = []
    for t in range(len(x)):
        lags = range(min(t + 1, len(module.kernel)))
        rows.append(sum(module.kernel[-1 - lag] * linear[t - lag] for lag in lags))
    return module.activation(torch.stack(rows))


def heads(x: Tensor, count: int = HEADS) -> Tensor:
    """`[time, dim]` to `[count, time, dim / count]`."""
    return torch.stack(x.chunk(count, dim=-1))


def attended(module: Attention, x: Tensor) -> Tensor:
    """What the module should give for one sequence `[time, dim]`."""
    queries, keys, values = map(heads, projected(module.projection, x).chunk(3, dim=-1))
    rows = []
    for i in range(len(x)):
        row = []
        for head in range(HEADS):
            persistent, their_values = module.persistent[:, head]
            query = queries[head, i]
            first = 0 if module.window is None else max(0, i - module.window + 1)
            scores = [query @ key for key in persistent]
            scores += [turned(query, i) @ turned(keys[head, j], j) for j in range(first, i + 1)]
            weights = torch.stack(scores).div(math.sqrt(WIDTH)).softmax(0)
            row.append(weights @ torch.cat([their_values, values[head, first : i + 1]]))
        rows.append(torch.cat(row))
    return torch.stack(rows) @ module.output.weight.T


@pytest.mark.parametrize("convolution", [0, 4])
@pytest.mark.parametrize("persistent", [0, 3])
@pytest.mark.parametrize("window", [None, 1, 2, 7, 23, 40])
def test_equals_the_equations(window: int | None, persistent: int, convolution: int) -> None:
    module = make(window=window, persistent=persistent, convolution=convolution)
    x = inputs()
    expected = torch.stack([attended(module, sequence) for sequence in x])
    torch.testing.assert_close(module(x)[0], expected, atol=1e-10, rtol=0)


@pytest.mark.parametrize("persistent", [0, 3])
@pytest.mark.parametrize("window", [None, 1, 5, 40])
@pytest.mark.parametrize("sizes", [[1] * TIME, [0, 4, 0, 7, 12, 0], [5, 5, 13], [22, 1]], ids=str)
def test_any_pieces_are_the_whole(window: int | None, persistent: int, sizes: list[int]) -> None:
    module, x = make(window=window, persistent=persistent), inputs()
    pieces, state = [], None
    for piece in x.split(sizes, dim=1):
        y, state = module(piece, state)
        assert y.shape == piece.shape
        pieces.append(y)
    torch.testing.assert_close(torch.cat(pieces, dim=1), module(x)[0], atol=1e-10, rtol=0)
    kept = TIME if window is None else min(TIME, window - 1)
    assert state.keys.shape == state.values.shape == (BATCH, HEADS, kept, WIDTH)


@pytest.mark.parametrize("window", [None, 5])
def test_a_token_changes_nothing_before_it(window: int | None) -> None:
    module, x = make(torch.float32, window=window, persistent=3), inputs(dtype=torch.float32)
    for at in (0, 1, 4, 5, 10, TIME - 1):
        changed = x.clone()
        changed[:, at] += 1
        assert torch.equal(module(changed)[0][:, :at], module(x)[0][:, :at])


@pytest.mark.parametrize("window", [1, 5, 8])
def test_a_window_is_that_many_tokens(window: int) -> None:
    module, x = make(window=window, convolution=0), inputs()
    changed = x.clone()
    changed[:, 6] += 1
    moved = (module(changed)[0] - module(x)[0]).abs().amax((0, 2)) > 1e-9
    expected = torch.zeros(TIME, dtype=torch.bool)
    expected[6 : 6 + window] = True
    assert torch.equal(moved, expected)


def test_positions_are_relative() -> None:
    module, x = make(window=5, convolution=0), inputs()
    first = module(x)[0]
    shifted = module(torch.cat([inputs(5).flip(1), x], dim=1))[0][:, 5:]
    torch.testing.assert_close(shifted[:, 4:], first[:, 4:], atol=1e-10, rtol=0)


def test_rotation_of_a_product_depends_on_the_distance() -> None:
    query, key = torch.randn(
        2, 1, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0)
    )
    near = (rotate(query, 7) * rotate(key, 3)).sum()
    far = (rotate(query, 1_000_007) * rotate(key, 1_000_003)).sum()
    torch.testing.assert_close(near, far, atol=1e-8, rtol=0)
    torch.testing.assert_close(rotate(query, 5)[0], turned(query[0], 5), atol=1e-12, rtol=0)
    torch.testing.assert_close(rotate(query), query)


def test_long_streams_keep_their_precision() -> None:
    module = make(torch.float32, window=5)
    x = inputs(400, torch.float32)
    state = None
    for piece in x.split(1, dim=1):
        y, state = module(piece, state)
    expected = make(window=5)(x.double())[0][:, -1:]
    torch.testing.assert_close(y.double(), expected, atol=1e-5, rtol=0)


def test_what_cannot_be() -> None:
    with pytest.raises(ValueError, match="3 heads"):
        Attention(8, heads=3)
    with pytest.raises(ValueError, match="window of 0"):
        Attention(8, heads=2, window=0)
    with pytest.raises(ValueError, match="multiple"):
        MAC(8, heads=2, memory=partial(NeuralMemory, heads=2, chunk_size=4), segment=6)


def written(layer: NeuralMemory, x: Tensor) -> tuple[Tensor, list[Tensor]]:
    """What `layer` puts out for one sequence `[time, dim]`, and its weights after it."""
    split = projected(layer.projection, x).chunk(3, dim=-1)
    queries, keys, values = (heads(part, layer.heads)[None] for part in split)
    queries, keys = F.normalize(queries, dim=-1), F.normalize(keys, dim=-1)
    outputs, state = memorize_reference(
        queries,
        keys,
        values,
        *layer.gates(x[None]),
        layer.start(1),
        chunk_size=layer.chunk_size,
        clip=layer.clip,
    )
    normal = torch.cat(list(layer.norm(outputs)[0]), dim=-1)
    gated = normal * F.silu(x @ layer.output_gate.weight.T)
    return gated @ layer.output.weight.T, [w[0] for w in state.weights]


def recalled(layer: NeuralMemory, weights: list[Tensor], query: Tensor) -> Tensor:
    """One query `[dim]` through the memory of each head, with those weights."""
    outputs = []
    for head, part in enumerate(query.chunk(layer.heads)):
        hidden = F.normalize(part, dim=0)
        for index, matrix in enumerate(weights):
            hidden = matrix[head] @ (F.silu(hidden) if index else hidden)
        outputs.append(hidden)
    return torch.cat(outputs)


def by_the_equations(module: MAC, x: Tensor) -> Tensor:
    """Equations 21 to 25 for one sequence `[time, dim]`, token by token."""
    retrieval = projected(module.retrieval, x)
    own = [heads(part) for part in projected(module.projection, x).chunk(3, dim=-1)]
    y, outputs, retrieved = x[:0], [], []
    weights = [w.clone() for w in module.memory.initial]
    for i in range(len(x)):
        start = i - i % module.segment
        if i == start:
            retrieved = []
            if i:
                _, weights = written(module.memory, module.memory_norm(y))
        h = recalled(module.memory, weights, retrieval[i])  # eq. 21
        retrieved.append(module.retrieved(module.retrieval_norm(h)).chunk(2))
        mixed = []
        for head in range(HEADS):
            part = slice(head * WIDTH, (head + 1) * WIDTH)
            query = turned(own[0][head, i], i - start)
            keys, values = list(module.persistent[0, head]), list(module.persistent[1, head])
            for j in range(start, i + 1):  # eq. 22
                key, value = retrieved[j - start]
                keys += [turned(key[part], j - start), turned(own[1][head, j], j - start)]
                values += [value[part], own[2][head, j]]
            scores = torch.stack(keys) @ query / math.sqrt(WIDTH)
            mixed.append(scores.softmax(0) @ torch.stack(values))
        row = x[i] + module.attended(torch.cat(mixed))  # eq. 23
        y = torch.cat([y, row[None]])
        m, _ = written(module.memory, module.memory_norm(y))  # eq. 24
        outputs.append(module.combine(row[None, None], m[None, -1:])[0, 0])  # eq. 25
    return torch.stack(outputs)


@torch.no_grad()
@pytest.mark.parametrize("persistent", [0, 3])
@pytest.mark.parametrize(("segment", "chunk"), [(4, 4), (6, 2), (6, 3), (40, 4)])
def test_mac_equals_the_equations(segment: int, chunk: int, persistent: int) -> None:
    torch.manual_seed(0)
    memory = partial(NeuralMemory, heads=2, chunk_size=chunk)
    mac = MAC(DIM, memory=memory, heads=HEADS, segment=segment, persistent=persistent)
    module, x = shaken(mac), inputs(15)
    expected = torch.stack([by_the_equations(module, sequence) for sequence in x])
    torch.testing.assert_close(module(x)[0], expected, atol=1e-9, rtol=0)


@torch.no_grad()
def test_mac_across_segments_in_any_pieces() -> None:
    torch.manual_seed(0)
    module = shaken(
        MAC(DIM, memory=partial(NeuralMemory, heads=2, chunk_size=2), heads=HEADS, segment=6)
    )
    x = inputs()
    whole, _ = module(x)
    for cuts in ([0, 6, 12, TIME], [0, 5, 5, 7, 18, TIME], range(TIME + 1)):
        pieces, state = [], None
        for start, stop in pairwise(cuts):
            y, state = module(x[:, start:stop], state)
            pieces.append(y)
        torch.testing.assert_close(torch.cat(pieces, dim=1), whole, atol=1e-10, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize("time", [1, 6, 12])
def test_mac_logs_the_gates_of_tokens(time: int) -> None:
    module = MAC(DIM, memory=partial(NeuralMemory, heads=2, chunk_size=2), heads=HEADS, segment=6)
    module(inputs(time).float())
    assert all(torch.isfinite(value) for value in module.memory.log.values())


@torch.no_grad()
def test_the_combination_is_a_gated_product() -> None:
    torch.manual_seed(0)
    combine = shaken(MAC(DIM, memory=partial(NeuralMemory, heads=2), heads=HEADS)).combine
    y, m = inputs(3), inputs(3).flip(0)

    def normal(x: Tensor, norm: nn.RMSNorm, offset: Tensor) -> Tensor:
        scale = x.square().mean(-1, keepdim=True).add(torch.finfo(x.dtype).eps).rsqrt()
        return x * scale * norm.weight + offset

    left = normal(y, combine.attention_norm, combine.attention_offset)
    right = normal(m, combine.memory_norm, combine.memory_offset)
    expected = (left * F.silu(right)) @ combine.output.weight.T
    torch.testing.assert_close(combine(y, m), expected, atol=1e-10, rtol=0)


@torch.no_grad()
def test_a_window_keeps_nothing_else_alive() -> None:
    module = make(window=5)
    state = None
    for time in (TIME, 1, 3):
        _, state = module(inputs(time), state)
        assert all(part.untyped_storage().nbytes() == part.nbytes for part in state)
