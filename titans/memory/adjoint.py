"""The gradient of one chunk, derived by hand from the equations of `titans.memory.chunk`."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from titans.memory.chunk import BackPropagation, Rule, Tape, Write, write
from titans.memory.decay import Decay
from titans.memory.network import MemoryNetwork
from titans.memory.stacked import Stacked, along, combine, plus, spread, times, updated


class Layer(NamedTuple):
    """One layer of the memory in a chunk."""

    memory: Stacked
    written: Write
    decay: Decay


class Gradient(NamedTuple):
    """Gradients of a loss with respect to what one layer writes in a chunk.

    Attributes:
        narrow: of the shorter of `x` and `e`; first of that times `c`, see `_clipping`.
        wide: of the longer one.
    """

    narrow: Tensor
    wide: Tensor


class Through(NamedTuple):
    """What a layer has read: the gradient of `W` and `S` is an outer product of the two.

    Attributes:
        narrow: of the query's activation and the gradient of the read, the shorter, spread.
        wide: the longer.
    """

    narrow: Tensor
    wide: Tensor


def backward(
    rule: Rule,
    output: Tensor,
    after: Sequence[Tensor],
    sequences: Sequence[Tensor],
    decay: Sequence[Decay],
    memory: Sequence[Stacked],
    tape: Tape,
) -> tuple[tuple[Tensor, Tensor, Tensor], list[Tensor], list[Decay]]:
    """Gradients with respect to (queries, keys, targets), the memory, and the gates' factors.

    Args:
        rule: what is the same for all chunks.
        output: gradient with respect to the last layer's `y`.
        after: with respect to `W'` and `S'`, stacked.
        sequences: the chunk's queries, keys and targets.
        decay: the factors, a layer each.
        memory: `W` and `S` at the start of the chunk.
        tape: what the forward pass kept.
    """
    queries, keys, targets = sequences
    activation = rule.network.activation
    rough = [layer.to(keys.dtype) for layer in memory]
    passed, written = write(rule, keys, targets, rough)
    layers = [Layer(*parts) for parts in zip(rough, written, decay, strict=True)]
    to, factors, y = [], [], output
    for layer, whole, matrix in zip(layers, memory, after, strict=True):
        gradient, gates = _end(layer, whole, matrix)
        to.append(gradient)
        factors.append(gates)
    through: list[Through] = []
    for index in range(len(layers) - 1, -1, -1):
        before = tape.reads[index - 1] if index else None
        hidden = queries if before is None else activation.value(before)
        product = tape.products[index]
        y, to[index], passage, read, writes = _read(layers[index], to[index], y, hidden, product)
        through.insert(0, passage)
        factors[index] = factors[index]._replace(read=read, writes=writes)
        y = y if before is None else activation.backward(y, before)
    to = [_clipping(layer, gradient) for layer, gradient in zip(layers, to, strict=True)]
    to_keys, to_targets, halves = _back_propagation(rule.network, layers, to, passed, targets)
    matrices = [
        updated(matrix, gate.mix.mT, passage.narrow.mT, passage.wide, half=half)
        for matrix, gate, passage, half in zip(after, decay, through, halves, strict=True)
    ]
    return (y, to_keys, to_targets), matrices, factors


def _end(layer: Layer, whole: Stacked, after: Tensor) -> tuple[Gradient, Decay]:
    """Through `matrix' = mix matrix - spread(n, last)^T w`; also what `mix` and `last` get."""
    _, written, gate = layer
    mix = torch.bmm(after.unflatten(1, (2, -1)).flatten(2), whole.pair.mT)
    after = after.to(written.wide.dtype)
    product = torch.bmm(written.wide, after.mT)
    wide = torch.bmm(spread(written.narrow, -gate.last), after)
    last = -along(written.narrow, product, gate.last)
    return Gradient(combine(product, -gate.last), wide), gate._replace(last=last, mix=mix)


def _read(
    layer: Layer, to: Gradient, y: Tensor, hidden: Tensor, product: Tensor | None
) -> tuple[Tensor, Gradient, Through, Tensor, Tensor]:
    """Through `y = a (W h) + b (S h) - (<h, x> G) e`; also what `read` and `writes` get."""
    memory, written, gate = layer
    if product is None:
        product = torch.bmm(y, memory.matrix.mT)
        to_hidden = combine(product, gate.read)
    else:
        to_hidden = torch.bmm(spread(y, gate.read), memory.matrix)
    narrow, wide = memory.sides(hidden, y)
    through = Through(spread(narrow, gate.read), wide)

    x, error = memory.sides(written.narrow, written.wide)
    to_x, to_error = memory.sides(to.narrow, to.wide)
    scores, alike = torch.bmm(hidden, x.mT), torch.bmm(y, error.mT)
    to_scores = times(gate.writes, alike)
    to_hidden = plus(to_hidden, to_scores, x, sign=-1)
    to_x = plus(to_x, to_scores.mT, hidden, sign=-1)
    to_error = plus(to_error, times(gate.writes, scores).mT, y, sign=-1)
    gradient = Gradient(*memory.sides(to_x, to_error))
    writes = -alike.to(gate.writes.dtype) * scores
    return to_hidden, gradient, through, along(narrow, product, gate.read), writes


def _clipping(layer: Layer, to: Gradient) -> Gradient:
    """Through `c n` with `c = clip / (|x| |e|)` where that is below 1."""
    memory, written, _ = layer
    if written.clip is None or written.lengths is None:
        return to
    narrow, _ = memory.sides(written.inputs, written.errors)
    lengths = memory.sides(*written.lengths)
    slope = torch.linalg.vecdot(to.narrow, narrow)[..., None] * written.clip
    slope = torch.where(written.clip < 1, -slope, 0)
    tiny = torch.finfo(slope.dtype).tiny
    shares = [slope / length.square().clamp_min(tiny) for length in lengths]
    return Gradient(
        torch.addcmul(to.narrow * written.clip, shares[0], narrow).to(narrow.dtype),
        torch.addcmul(to.wide, shares[1], written.wide).to(narrow.dtype),
    )


def _back_propagation(
    network: MemoryNetwork,
    layers: Sequence[Layer],
    to: Sequence[Gradient],
    passed: BackPropagation,
    targets: Tensor,
) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Through the errors up to the loss and the inputs down to the keys.

    Returns the gradients of keys, targets and weights.
    """
    memory, written = [layer.memory for layer in layers], [layer.written for layer in layers]
    sides = [m.sides(g.narrow, g.wide) for m, g in zip(memory, to, strict=True)]
    to_x, to_error = [list(side) for side in zip(*sides, strict=True)]
    to_z: list[Tensor] = []
    slopes: list[Tensor] = []
    halves: dict[int, Tensor] = {}
    for index, u in enumerate(passed.propagated):
        slope, curvature = network.activation.derivatives(passed.preactivations[index])
        to_z.append(curvature * u * to_error[index])
        to_u = to_error[index] * slope
        slopes.append(slope)
        above = index + 1
        to_error[above] = to_error[above] + memory[above].through(to_u)
        halves[above] = _outer(memory[above], to_u, written[above].errors)
    raw, to_targets = network.output_error_backward(
        passed.preactivations[-1], targets, to_error[-1]
    )
    to_z.append(raw)
    gradients: list[Tensor] = []
    for index in range(len(layers) - 1, -1, -1):
        half = _outer(memory[index], written[index].inputs, to_z[index])
        half = half + halves[index] if index in halves else half
        gradients.insert(0, half)
        to_x[index] = to_x[index] + memory[index].back(to_z[index])
        if index:
            to_z[index - 1] = torch.addcmul(to_z[index - 1], to_x[index], slopes[index - 1])
    return to_x[0], to_targets, gradients


def _outer(memory: Stacked, inputs: Tensor, outputs: Tensor) -> Tensor:
    """`outputs^T inputs` as the weights lie."""
    narrow, wide = memory.sides(inputs, outputs)
    return torch.bmm(narrow.mT, wide)
