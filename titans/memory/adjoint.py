"""The gradient of one chunk, derived by hand from the equations of `titans.memory.chunk`."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from titans.memory.chunk import Matrices, Tape, Written, outer, write
from titans.memory.decay import Decay
from titans.memory.network import MemoryNetwork


class Layer(NamedTuple):
    """One layer of the memory in a chunk; or the gradients of a loss, which are added to in place.

    Attributes:
        inputs: `x`.
        errors: `e`.
        clip: `c`.
        weights: `W`.
        momentum: `S`.
        decay: the factors of the gates.
    """

    inputs: Tensor
    errors: Tensor
    clip: Tensor
    weights: Tensor
    momentum: Tensor
    decay: Decay


def backward(
    output: Tensor,
    after: tuple[Matrices, Matrices],
    sequences: tuple[Tensor, ...],
    decay: Sequence[Decay],
    decay_gradient: Sequence[Decay],
    before: tuple[Matrices, Matrices],
    network: MemoryNetwork,
    clip: float | None,
    tape: Tape,
) -> tuple[tuple[Tensor, Tensor, Tensor], Matrices, Matrices]:
    """Gradients with respect to (queries, keys, targets), `W` and `S`.

    Args:
        output: gradient with respect to the last layer's `y`.
        after: with respect to `W'` and `S'`.
        sequences: the chunk's queries, keys and targets.
        decay: the factors, a layer each.
        decay_gradient: their gradients, which are added to.
        before: `W` and `S`.
        network: the memory's network.
        clip: the bound on a token's gradient.
        tape: what the forward pass kept.
    """
    queries, keys, targets = sequences
    written = write(keys, targets, before[0], network, clip, tape)
    parts = zip(written.inputs, written.errors, written.clip, *before, decay, strict=True)
    layers = [Layer(*part) for part in parts]
    ends = zip(layers, *after, decay_gradient, strict=True)
    gradients = [_end_of_chunk(*end) for end in ends]
    y = output
    for index in range(len(layers) - 1, 0, -1):
        hidden, slope = network.activation.first(tape.reads[index - 1])
        y = _read(layers[index], gradients[index], y, hidden).mul_(slope)
    to_queries = _read(layers[0], gradients[0], y, queries)
    if clip is not None:
        for layer, to in zip(layers, gradients, strict=True):
            _clipping(layer, to)
    to_targets = _back_propagation(layers, gradients, written, targets, network)
    matrices = tuple(to.weights for to in gradients), tuple(to.momentum for to in gradients)
    return (to_queries, gradients[0].inputs, to_targets), *matrices


def _end_of_chunk(
    layer: Layer, weights_after: Tensor, momentum_after: Tensor, to_decay: Decay
) -> Layer:
    """Through `W' = a_C W + b_C S - (p e)^T x` and `S' = left S - (r e)^T x`, to new gradients."""
    x, error, clip, weights, momentum, gate = layer
    kept, added = gate.weights[:, -1:], gate.momentum[:, -1:]
    to = Layer(
        torch.zeros_like(x),
        torch.zeros_like(error),
        torch.zeros_like(x[..., :1]),
        kept * weights_after,
        torch.addcmul(gate.momentum_left * momentum_after, added, weights_after),
        to_decay,
    )
    to_decay.weights[:, -1:] += _inner(weights_after, weights)
    to_decay.momentum[:, -1:] += _inner(weights_after, momentum)
    to_decay.momentum_left.add_(_inner(momentum_after, momentum))
    last = gate.writes[:, -1:].mT
    for scale, matrix, row in (
        (last, weights_after, to_decay.writes[:, -1:].mT),
        (gate.surprise, momentum_after, to_decay.surprise),
    ):
        found = _through_outer(scale * clip, x, error, matrix, to.inputs, to.errors)
        row += found * clip
        to.clip.addcmul_(found, scale)
    return to


def _through_outer(
    scale: Tensor, x: Tensor, error: Tensor, after: Tensor, to_x: Tensor, to_error: Tensor
) -> Tensor:
    """Through `-(scale error)^T x`: adds to `x` and `error`, returns what `scale` gets."""
    if x.shape[-1] <= error.shape[-1]:
        along = error @ after
        to_x.addcmul_(scale, along, value=-1)
        to_error.baddbmm_(scale * x, after.mT, alpha=-1)
        return -_rows(x, along)
    along = x @ after.mT
    to_error.addcmul_(scale, along, value=-1)
    to_x.baddbmm_(scale * error, after, alpha=-1)
    return -_rows(error, along)


def _read(layer: Layer, to: Layer, y: Tensor, hidden: Tensor) -> Tensor:
    """Through `y = a (W h) + b (S h) - A <h, x> e`; returns the gradient with respect to `h`."""
    x, error, clip, weights, momentum, gate = layer
    outer(gate.weights, y, hidden, to.weights, sign=1)
    outer(gate.momentum, y, hidden, to.momentum, sign=1)
    start, surprise = y @ weights, y @ momentum
    to.decay.weights.add_(_rows(hidden, start))
    to.decay.momentum.add_(_rows(hidden, surprise))
    to_hidden = start.mul_(gate.weights).addcmul_(gate.momentum, surprise)

    writes, scores, along = gate.writes * clip.mT, hidden @ x.mT, y @ error.mT
    to.errors.baddbmm_((scores * writes).mT, y, alpha=-1)
    to_scores = along * writes
    to_hidden.baddbmm_(to_scores, x, alpha=-1)
    to.inputs.baddbmm_(to_scores.mT, hidden, alpha=-1)
    along.mul_(scores)
    to.decay.writes.addcmul_(along, clip.mT, value=-1)
    to.clip.sub_((along * gate.writes).sum(dim=1)[..., None])
    return to_hidden


def _clipping(layer: Layer, to: Layer) -> None:
    """Through `c = clip / (|x| |e|)` where it binds."""
    binding = torch.where(layer.clip < 1, -to.clip * layer.clip, 0)
    for vector, gradient in ((layer.inputs, to.inputs), (layer.errors, to.errors)):
        square = _rows(vector, vector).clamp_min(torch.finfo(vector.dtype).tiny)
        gradient.addcmul_(binding / square, vector)


def _back_propagation(
    layers: Sequence[Layer],
    gradients: Sequence[Layer],
    written: Written,
    targets: Tensor,
    network: MemoryNetwork,
) -> Tensor:
    """Through the errors up to the loss and the inputs down to the keys; returns the targets'."""
    to_z = list[Tensor]()
    hidden = zip(written.preactivations, written.inputs[1:], written.slopes, strict=False)
    for index, (z, value, slope) in enumerate(hidden):
        to, above = gradients[index], gradients[index + 1]
        curvature = network.activation.curvature(z, value, slope)
        to_z.append(curvature.mul_(written.propagated[index]).mul_(to.errors))
        to_propagated = to.errors.mul_(slope)
        above.errors.baddbmm_(to_propagated, layers[index + 1].weights.mT)
        above.weights.baddbmm_(layers[index + 1].errors.mT, to_propagated)
    with torch.enable_grad():
        top = [x.detach().requires_grad_() for x in (written.preactivations[-1], targets)]
        error = network.output_error(*top)
    last, to_targets = torch.autograd.grad(error, top, gradients[-1].errors)
    to_z.append(last)
    for index in range(len(layers) - 1, -1, -1):
        to = gradients[index]
        to.weights.baddbmm_(to_z[index].mT, layers[index].inputs)
        to.inputs.baddbmm_(to_z[index], layers[index].weights)
        if index:
            to_z[index - 1].addcmul_(to.inputs, written.slopes[index - 1])
    return to_targets


def _rows(left: Tensor, right: Tensor) -> Tensor:
    """Inner products of rows, `[..., C, 1]`."""
    return (left * right).sum(dim=-1, keepdim=True)


def _inner(left: Tensor, right: Tensor) -> Tensor:
    """Inner products of matrices, `[batch, 1, 1]`."""
    return (left * right).sum(dim=(-2, -1), keepdim=True)
