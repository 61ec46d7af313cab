"""One chunk of the dual form.

With the chunk's first weights `W` and momentum `S`, layer `l` of the memory gets the input `x_l`
and the error `e_l` of each key, both taken at `W`, and a query's activation `h_l` is read as

    y_l = a (W h_l) + b (S h_l) - sum_{i<=t} A[t, i] <h_l, x_i> e_i        h_{l+1} = act(y_l)

where `A = G theta c` and `c <= 1` clips each token's gradient. At the end of the chunk

    W' = a_C W + b_C S - sum_i A[C, i] e_i x_i^T        S' = eta_C..eta_1 S - sum_i r_i e_i x_i^T

`W` and `S` of a layer lie one above the other in a single matrix (see `titans.memory.stacked`).
Tensors are `[batch * heads, C, width]`. Sequences may be in bfloat16; the memory and the factors of
the gates are not.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from titans.memory.decay import Decay
from titans.memory.network import MemoryNetwork, clip_factor
from titans.memory.stacked import Stacked, combine, plus, spread, times, updated


class Tape(NamedTuple):
    """What the gradient needs besides the chunk's arguments: products that cost most.

    Attributes:
        products: `W h` and `S h` of layers with more inputs than outputs; None of others.
        reads: `y_l` of all layers but the last.
    """

    products: list[Tensor | None]
    reads: list[Tensor]


class Write(NamedTuple):
    """What the keys and values of a chunk amount to in one layer, at the chunk's first weights.

    Attributes:
        inputs: `x`.
        errors: `e`.
        lengths: `|x|` and `|e|`, None without clipping.
        clip: `c` `[C, 1]`, likewise.
        narrow: the shorter of `x` and `e`, times `c`.
        wide: the longer one.
    """

    inputs: Tensor
    errors: Tensor
    lengths: tuple[Tensor, Tensor] | None
    clip: Tensor | None
    narrow: Tensor
    wide: Tensor


class BackPropagation(NamedTuple):
    """Of the loss at a chunk's first weights.

    Attributes:
        preactivations: `z_l = W_l x_l`.
        propagated: `u_l = W_{l+1}^T e_{l+1}`, of which `e_l = u_l act'(z_l)`.
    """

    preactivations: list[Tensor]
    propagated: list[Tensor]


class Rule(NamedTuple):
    """What is the same for all chunks: the memory's network, and the bound on a gradient."""

    network: MemoryNetwork
    clip: float | None


def forward(
    rule: Rule,
    sequences: Sequence[Tensor],
    decay: Sequence[Decay],
    memory: Sequence[Stacked],
) -> tuple[Tensor, list[Stacked], Tape]:
    """What the last layer reads for each query, the memory after the chunk, and the tape.

    Args:
        rule: what is the same for all chunks.
        sequences: queries, keys and targets.
        decay: the factors of the gates, a layer each.
        memory: `W` and `S`, a layer each.
    """
    queries, keys, targets = sequences
    rough = [layer.to(keys.dtype) for layer in memory]
    _, written = write(rule, keys, targets, rough)
    output, tape = _read(rule.network, queries, written, decay, rough)
    return output, _after(written, decay, memory), tape


def advance(
    rule: Rule, keys: Tensor, targets: Tensor, decay: Sequence[Decay], memory: Sequence[Stacked]
) -> list[Stacked]:
    """The memory after the chunk alone."""
    rough = [layer.to(keys.dtype) for layer in memory]
    return _after(write(rule, keys, targets, rough)[1], decay, memory)


def _after(
    written: Sequence[Write], decay: Sequence[Decay], memory: Sequence[Stacked]
) -> list[Stacked]:
    after = []
    for layer, new, gate in zip(memory, written, decay, strict=True):
        step = spread(new.narrow, gate.last).mT
        matrix = updated(layer.matrix, gate.mix, step, new.wide, sign=-1)
        after.append(Stacked(matrix, layer.widens))
    return after


def write(
    rule: Rule, keys: Tensor, targets: Tensor, memory: Sequence[Stacked]
) -> tuple[BackPropagation, list[Write]]:
    """Back-propagates `||M(k) - v||^2` at `W`; also what that makes each layer write."""
    network, activation = rule.network, rule.network.activation
    inputs, preactivations = [keys], [memory[0].through(keys)]
    for layer in memory[1:]:
        inputs.append(activation.value(preactivations[-1]))
        preactivations.append(layer.through(inputs[-1]))
    errors = [network.output_error(preactivations[-1], targets)]
    propagated: list[Tensor] = []
    for layer, z in zip(memory[:0:-1], preactivations[-2::-1], strict=True):
        propagated.insert(0, layer.back(errors[0]))
        errors.insert(0, activation.backward(propagated[0], z))
    layers = zip(memory, inputs, errors, strict=True)
    written = [_clipped(rule.clip, x, error, *layer.sides(x, error)) for layer, x, error in layers]
    return BackPropagation(preactivations, propagated), written


def _clipped(clip: float | None, x: Tensor, error: Tensor, narrow: Tensor, wide: Tensor) -> Write:
    if clip is None:
        return Write(x, error, None, None, narrow, wide)
    precise = torch.promote_types(x.dtype, torch.float32)
    lengths = [torch.linalg.vector_norm(v, dim=-1, keepdim=True, dtype=precise) for v in (x, error)]
    factor = torch.as_tensor(clip_factor(lengths[0] * lengths[1], clip))
    return Write(x, error, (lengths[0], lengths[1]), factor, times(factor, narrow), wide)


def _read(
    network: MemoryNetwork,
    queries: Tensor,
    written: Sequence[Write],
    decay: Sequence[Decay],
    memory: Sequence[Stacked],
) -> tuple[Tensor, Tape]:
    """What the last layer reads for each query, and what to keep of the way there."""
    hidden, tape = queries, Tape([], [])
    for layer, new, gate in zip(memory, written, decay, strict=True):
        if tape.reads:
            hidden = network.activation.value(tape.reads[-1])
        product = None if layer.widens else torch.bmm(hidden, layer.matrix.mT)
        if product is None:
            y = torch.bmm(spread(hidden, gate.read), layer.matrix)
        else:
            y = combine(product, gate.read)
        x, error = layer.sides(new.narrow, new.wide)
        tape.products.append(product)
        tape.reads.append(plus(y, times(gate.writes, torch.bmm(hidden, x.mT)), error, sign=-1))
    return tape.reads.pop(), tape
