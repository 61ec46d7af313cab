"""The gradient of one chunk, derived by hand from the equations of `titans.memory.chunk`."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from titans.memory.chunk import Matrices, Tape, Written, outer, write
from titans.memory.decay import Decay
from titans.memory.network import MemoryNetwork


class Gradients(NamedTuple):
    """Gradients of a loss, one tensor a layer; each is added to in place.

    Attributes:
        inputs: with respect to `x_l`.
        errors: `e_l`.
        clip: `c_l`.
        weights: `W`.
        momentum: `S`.
        decay: the factors of the gates.
    """

    inputs: list[Tensor]
    errors: list[Tensor]
    clip: list[Tensor]
    weights: list[Tensor]
    momentum: list[Tensor]
    decay: Sequence[Decay]


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
    (weights, momentum), (weights_after, momentum_after) = before, after
    written = write(keys, targets, weights, network, clip, tape)
    gradients = Gradients(
        [torch.zeros_like(x) for x in written.inputs],
        [torch.zeros_like(x) for x in written.errors],
        [torch.zeros_like(x[..., :1]) for x in written.inputs],
        [gate.weights[:, -1:] * g for gate, g in zip(decay, weights_after, strict=True)],
        [
            torch.addcmul(gate.momentum_left * s, gate.momentum[:, -1:], w)
            for gate, w, s in zip(decay, weights_after, momentum_after, strict=True)
        ],
        decay_gradient,
    )
    for layer in range(len(weights)):
        _end_of_chunk(
            layer,
            (weights_after[layer], momentum_after[layer]),
            (weights[layer], momentum[layer]),
            decay[layer],
            written,
            gradients,
        )
    y = output
    for layer in range(len(weights) - 1, -1, -1):
        hidden, slope = queries, None
        if layer:
            hidden, slope = network.activation.first(tape.reads[layer - 1])
        matrices = weights[layer], momentum[layer]
        y = _read(layer, y, hidden, matrices, decay[layer], written, gradients)
        y = y if slope is None else y.mul_(slope)
    if clip is not None:
        _clipping(written, gradients)
    target = _back_propagation(targets, weights, network, written, gradients)
    new = tuple(gradients.weights), tuple(gradients.momentum)
    return (y, gradients.inputs[0], target), *new


def _end_of_chunk(
    layer: int,
    after: tuple[Tensor, Tensor],
    before: tuple[Tensor, Tensor],
    gate: Decay,
    written: Written,
    gradients: Gradients,
) -> None:
    """Through `W' = a_C W + b_C S - (p e)^T x` and `S' = left S - (r e)^T x`."""
    x, error, clip = written.inputs[layer], written.errors[layer], written.clip[layer]
    to, (weights, momentum), (weights_after, momentum_after) = gradients.decay[layer], before, after
    to.weights[:, -1:] += _inner(weights_after, weights)
    to.momentum[:, -1:] += _inner(weights_after, momentum)
    to.momentum_left.add_(_inner(momentum_after, momentum))
    last = gate.writes[:, -1:].mT
    for scale, matrix, row in (
        (last, weights_after, to.writes[:, -1:].mT),
        (gate.surprise, momentum_after, to.surprise),
    ):
        found = _through_outer(
            scale * clip, x, error, matrix, gradients.inputs[layer], gradients.errors[layer]
        )
        row += found * clip
        gradients.clip[layer].addcmul_(found, scale)


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


def _read(
    layer: int,
    y: Tensor,
    hidden: Tensor,
    before: tuple[Tensor, Tensor],
    gate: Decay,
    written: Written,
    gradients: Gradients,
) -> Tensor:
    """Through `y = a (W h) + b (S h) - A <h, x> e`; returns the gradient with respect to `h`."""
    x, error, clip = written.inputs[layer], written.errors[layer], written.clip[layer]
    to, (weights, momentum) = gradients.decay[layer], before
    outer(gate.weights, y, hidden, gradients.weights[layer], sign=1)
    outer(gate.momentum, y, hidden, gradients.momentum[layer], sign=1)
    start, surprise = y @ weights, y @ momentum
    to.weights.add_(_rows(hidden, start))
    to.momentum.add_(_rows(hidden, surprise))
    to_hidden = start.mul_(gate.weights).addcmul_(gate.momentum, surprise)

    writes, scores, along = gate.writes * clip.mT, hidden @ x.mT, y @ error.mT
    gradients.errors[layer].baddbmm_((scores * writes).mT, y, alpha=-1)
    to_scores = along * writes
    to_hidden.baddbmm_(to_scores, x, alpha=-1)
    gradients.inputs[layer].baddbmm_(to_scores.mT, hidden, alpha=-1)
    along.mul_(scores)
    to.writes.addcmul_(along, clip.mT, value=-1)
    gradients.clip[layer].sub_((along * gate.writes).sum(dim=1)[..., None])
    return to_hidden


def _clipping(written: Written, gradients: Gradients) -> None:
    """Through `c = clip / (|x| |e|)` where it binds."""
    for x, error, clip, to_x, to_error, to_clip in zip(
        written.inputs, written.errors, written.clip, *gradients[:3], strict=True
    ):
        binding = torch.where(clip < 1, -to_clip * clip, 0)
        for vector, to in ((x, to_x), (error, to_error)):
            square = _rows(vector, vector).clamp_min(torch.finfo(vector.dtype).tiny)
            to.addcmul_(binding / square, vector)


def _back_propagation(
    targets: Tensor,
    weights: Matrices,
    network: MemoryNetwork,
    written: Written,
    gradients: Gradients,
) -> Tensor:
    """Through the errors up to the loss and the inputs down to the keys; returns the targets'."""
    to_error, to_input, to_weights = gradients.errors, gradients.inputs, gradients.weights
    to_z, slopes = list[Tensor](), list[Tensor]()
    for layer, propagated in enumerate(written.propagated):
        z = written.preactivations[layer]
        _, slope, curvature = network.activation.second(z)
        to_z.append(curvature.mul_(propagated).mul_(to_error[layer]))
        slopes.append(slope)
        to_propagated = to_error[layer].mul_(slope)
        to_error[layer + 1].baddbmm_(to_propagated, weights[layer + 1].mT)
        to_weights[layer + 1].baddbmm_(written.errors[layer + 1].mT, to_propagated)
    with torch.enable_grad():
        top = [x.detach().requires_grad_() for x in (written.preactivations[-1], targets)]
        error = network.output_error(*top)
    last, to_targets = torch.autograd.grad(error, top, to_error[-1])
    to_z.append(last)
    for layer in range(len(weights) - 1, -1, -1):
        to_weights[layer].baddbmm_(to_z[layer].mT, written.inputs[layer])
        to_input[layer].baddbmm_(to_z[layer], weights[layer])
        if layer:
            to_z[layer - 1].addcmul_(to_input[layer], slopes[layer - 1])
    return to_targets


def _rows(left: Tensor, right: Tensor) -> Tensor:
    """Inner products of rows, `[..., C, 1]`."""
    return (left * right).sum(dim=-1, keepdim=True)


def _inner(left: Tensor, right: Tensor) -> Tensor:
    """Inner products of matrices, `[batch, 1, 1]`."""
    return (left * right).sum(dim=(-2, -1), keepdim=True)
