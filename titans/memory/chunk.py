"""One chunk of the dual form, and its hand-derived gradient.

With the chunk's first weights `W` and momentum `S`, layer `l` of the memory gets the input `x_l`
and the error `e_l` of each key, both taken at `W`, and a query's activation `h_l` is read as

    y_l = a (W h_l) + b (S h_l) - sum_{i<=t} A[t, i] <h_l, x_i> e_i        h_{l+1} = act(y_l)

where `A = G theta c` and `c <= 1` clips each token's gradient. At the end of the chunk

    W' = a_C W + b_C S - sum_i A[C, i] e_i x_i^T        S' = eta_C..eta_1 S - sum_i r_i e_i x_i^T

Tensors are `[batch * heads, C, width]`; factors by token are `[batch * heads, C, 1]`.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from titans.memory.decay import Decay
from titans.memory.network import MemoryNetwork, clip_factor

Matrices = tuple[Tensor, ...]


class Written(NamedTuple):
    """What the keys and values of a chunk amount to at its first weights, a list entry a layer.

    Attributes:
        preactivations: `z_l = W_l x_l`.
        propagated: `u_l = W_{l+1}^T e_{l+1}`, of which `e_l = u_l act'(z_l)`.
        slopes: `act'(z_l)`.
        inputs: `x_l`.
        errors: `e_l`.
        clip: `c_l`.
    """

    preactivations: list[Tensor]
    propagated: list[Tensor]
    slopes: list[Tensor]
    inputs: list[Tensor]
    errors: list[Tensor]
    clip: list[Tensor]


class Tape(NamedTuple):
    """What the gradient needs besides the chunk's arguments: the costly products alone."""

    preactivations: list[Tensor]
    propagated: list[Tensor]
    reads: list[Tensor]


def write(
    keys: Tensor,
    targets: Tensor,
    weights: Matrices,
    network: MemoryNetwork,
    clip: float | None,
    tape: Tape | None = None,
) -> Written:
    """Back-propagates `||M(k) - v||^2` by hand, for all tokens at the same `weights`."""
    layers = len(weights)
    inputs, slopes, preactivations = [keys], list[Tensor](), list[Tensor]()
    for layer, weight in enumerate(weights):
        z = tape.preactivations[layer] if tape else inputs[layer] @ weight.mT
        preactivations.append(z)
        if layer + 1 < layers:
            value, slope = network.activation.first(z)
            inputs.append(value)
            slopes.append(slope)
    errors = [network.output_error(preactivations[-1], targets)]
    propagated = list[Tensor]()
    for layer in range(layers - 2, -1, -1):
        u = tape.propagated[layer] if tape else errors[0] @ weights[layer + 1]
        propagated.insert(0, u)
        errors.insert(0, u * slopes[layer])
    factors = [_clip(x, error, clip) for x, error in zip(inputs, errors, strict=True)]
    return Written(preactivations, propagated, slopes, inputs, errors, factors)


def forward(
    queries: Tensor,
    written: Written,
    decay: Sequence[Decay],
    weights: Matrices,
    momentum: Matrices,
    network: MemoryNetwork,
) -> tuple[list[Tensor], Matrices, Matrices]:
    """What each layer reads, `y_l`, and the weights and momentum after the chunk."""
    reads, after, surprise = list[Tensor](), list[Tensor](), list[Tensor]()
    hidden = queries
    for layer, (w, s, gate) in enumerate(zip(weights, momentum, decay, strict=True)):
        x, error, factor = written.inputs[layer], written.errors[layer], written.clip[layer]
        y = _scaled(gate.weights, hidden, w.mT)
        y = _scaled(gate.momentum, hidden, s.mT, y)
        scores = (hidden @ x.mT).mul_(gate.writes).mul_(factor.mT)
        reads.append(y.baddbmm_(scores, error, alpha=-1))
        if layer + 1 < len(weights):
            hidden = network.activation.value(y)
        new = torch.addcmul(gate.weights[:, -1:] * w, gate.momentum[:, -1:], s)
        after.append(outer(gate.writes[:, -1:].mT * factor, error, x, new))
        surprise.append(outer(gate.surprise * factor, error, x, gate.momentum_left * s))
    return reads, tuple(after), tuple(surprise)


def _clip(x: Tensor, error: Tensor, clip: float | None) -> Tensor:
    """What bounds the norm of `error x^T`, the product of the two norms, `[batch, C, 1]`."""
    if clip is None:
        return x.new_ones(()).expand(*x.shape[:-1], 1)
    norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    norm = norm * torch.linalg.vector_norm(error, dim=-1, keepdim=True)
    return torch.as_tensor(clip_factor(norm, clip))


def _scaled(scale: Tensor, x: Tensor, matrix: Tensor, total: Tensor | None = None) -> Tensor:
    """`total + scale * (x @ matrix)`, scaling the narrower side."""
    if matrix.shape[-1] < x.shape[-1]:
        product = x @ matrix
        return product.mul_(scale) if total is None else total.addcmul_(scale, product)
    if total is None:
        return (scale * x) @ matrix
    return total.baddbmm_(scale * x, matrix)


def outer(scale: Tensor, left: Tensor, right: Tensor, total: Tensor, sign: int = -1) -> Tensor:
    """`total + sign * (scale * left)^T right`, scaling the narrower side."""
    if left.shape[-1] <= right.shape[-1]:
        return total.baddbmm_((scale * left).mT, right, alpha=sign)
    return total.baddbmm_(left.mT, scale * right, alpha=sign)
