"""The paper's recurrence, token by token: the truth that every faster form is tested against."""

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from titans.memory.checks import check
from titans.memory.network import PLAIN, MemoryNetwork, MemoryState, clip_factor
from titans.shapes import Gate, HeadSequence


def memorize_reference(
    queries: HeadSequence,
    keys: HeadSequence,
    values: Float[Tensor, "batch heads time out"],
    forget: Gate | tuple[Tensor, ...],
    momentum: Gate,
    step: Gate,
    state: MemoryState,
    *,
    chunk_size: int,
    residual: bool = False,
    clip: float | None = None,
    network: MemoryNetwork = PLAIN,
) -> tuple[Float[Tensor, "batch heads time out"], MemoryState]:
    """Writes and reads one token after the other (v1, equations 8-16).

    The arguments, the results and what is raised are those of `memorize`. Only here, `forget` may
    also be a tuple with one gate per layer of shape `[batch, heads, time, out]`, the
    camera-ready's channel-wise forgetting, which has no dual form.
    """
    check((queries, keys, values), (forget, momentum, step), state, chunk_size, clip)
    network = replace(network, residual=residual or network.residual)

    def loss(weights: tuple[Tensor, ...], key: Tensor, value: Tensor) -> Tensor:
        return ((network.read(weights, key) - value) ** 2).sum()  # eq. 12

    weights, surprise = state
    outputs = []
    for t in range(keys.shape[2]):
        if t % chunk_size == 0:
            anchor = weights  # eq. 16: gradients are taken where the last chunk ended
        now = slice(t, t + 1)
        gradients = torch.func.grad(loss)(anchor, keys[:, :, now], values[:, :, now])
        gradients = tuple(
            g * clip_factor(torch.linalg.matrix_norm(g, keepdim=True), clip) for g in gradients
        )
        surprise = tuple(
            _at(momentum, layer, t) * past - _at(step, layer, t) * gradient  # eq. 14
            for layer, (past, gradient) in enumerate(zip(surprise, gradients, strict=True))
        )
        weights = tuple(
            (1 - _at(forget, layer, t)) * old + new  # eq. 13
            for layer, (old, new) in enumerate(zip(weights, surprise, strict=True))
        )
        outputs.append(network.read(weights, queries[:, :, now]))  # eq. 15
    return torch.cat([values[:, :, :0], *outputs], dim=2), MemoryState(weights, surprise)


def _at(gate: Tensor | tuple[Tensor, ...], layer: int, t: int) -> Tensor:
    """The gate of one token for one layer, shaped to multiply `[batch, heads, out, in]`."""
    if isinstance(gate, tuple):
        return gate[layer][:, :, t, :, None]
    return (gate[:, :, t] if gate.dim() == 3 else gate[:, :, t, layer])[..., None, None]
