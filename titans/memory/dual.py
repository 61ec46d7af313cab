"""The fast form: every token read through its own memory, without ever building that memory.

Within a chunk of `C` tokens all gradients are taken at its first memory `W_0`. Unrolling momentum
and forgetting gives, with `a_t = prod_{l<=t} (1 - alpha_l)` and two decay matrices

    D[t, j] = prod_{l=j+1..t} (1 - alpha_l)        H[j, i] = prod_{l=i+1..j} eta_l

the memory after token `t` as a sum over the chunk,

    W_t = a_t W_0 + b_t S_0 - sum_{i<=t} G[t, i] theta_i delta_i x_i^T
    G = D H        b_t = sum_j D[t, j] prod_{l<=j} eta_l

because the gradient of a layer is the outer product of its error `delta_i` and its input `x_i`.
Reading `W_t` with `h_t` is then causal linear attention inside the chunk:

    W_t h_t = a_t W_0 h_t + b_t S_0 h_t - sum_{i<=t} G[t, i] theta_i <h_t, x_i> delta_i
"""

from dataclasses import replace
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from titans.memory.network import PLAIN, MemoryNetwork, MemoryState, check, clip_factor
from titans.shapes import Gate, HeadSequence


class Decay(NamedTuple):
    """What the gates of a chunk amount to; axes `[layers, batch * heads, ...]` per chunk.

    Attributes:
        weights: `a` `[C, 1]`, what is left of `W_0` after each token.
        momentum: `b` `[C, 1]`, what `S_0` has added after each token.
        writes: `G theta` `[C, C]`, how much of each gradient has been written after each token.
        last: rows of (`G theta`, `H theta`) for the last token, `[C, 2]`.
        momentum_left: `prod eta` over the chunk, `[1, 1]`.
    """

    weights: Tensor
    momentum: Tensor
    writes: Tensor
    last: Tensor
    momentum_left: Tensor


def memorize(
    queries: HeadSequence,
    keys: HeadSequence,
    values: Float[Tensor, "batch heads time out"],
    forget: Gate,
    momentum: Gate,
    step: Gate,
    state: MemoryState,
    *,
    chunk_size: int,
    residual: bool = False,
    clip: float | None = None,
    network: MemoryNetwork = PLAIN,
) -> tuple[Float[Tensor, "batch heads time out"], MemoryState]:
    """Writes a sequence into the memory and reads token `t` through `M_t` (v1, equations 8-18).

    Args:
        queries: `[batch, heads, time, dim]`; any time, 0 and 1 included.
        keys: as `queries`. Token `t` writes the pair (key, value).
        values: `[batch, heads, time, out]`.
        forget: `alpha` in [0, 1), the share forgotten, `[batch, heads, time]`, or
            `[batch, heads, time, layers]` for a gate per layer of the memory.
        momentum: `eta` in [0, 1), the decay of past surprise, likewise.
        step: `theta` >= 0, the size of the step, likewise.
        state: memory and momentum before the first token, which begins a chunk.
        chunk_size: how many tokens share the point at which gradients are taken.
        residual: `M(x) + x` instead of `M(x)`.
        clip: bound on the Frobenius norm of each token's gradient per layer, `None` for none.
        network: what the weights mean, where it is not the plain MLP with SiLU.

    Returns:
        Outputs `[batch, heads, time, out]` and the state after the last token.

    Raises:
        ValueError: `chunk_size` is below 1, or there are gates for another number of layers.
    """
    check(chunk_size, (forget, momentum, step), len(state.weights))
    network = replace(network, residual=residual or network.residual)
    batch, heads, time, _ = keys.shape
    sequences = [x.flatten(0, 1) for x in (queries, keys, values)]
    gates = [_layers_first(gate) for gate in (forget, momentum, step)]
    memory = MemoryState(*(tuple(w.flatten(0, 1) for w in part) for part in state))

    whole = time - time % chunk_size
    outputs = [sequences[2][:, :0]]
    for start, stop, size in ((0, whole, chunk_size), (whole, time, time - whole)):
        if start < stop:
            chunks = zip(*(x[:, start:stop].split(size, dim=1) for x in sequences), strict=True)
            decays = _decays(*(g[:, :, start:stop].unflatten(2, (-1, size)) for g in gates))
            for (q, k, v), decay in zip(chunks, decays, strict=True):
                output, memory = _chunk(q, k, v, decay, memory, network, clip)
                outputs.append(output)

    def apart(x: Tensor) -> Tensor:
        return x.view(batch, heads, *x.shape[1:])

    weights, surprise = (tuple(map(apart, part)) for part in memory)
    return apart(torch.cat(outputs, dim=1)), MemoryState(weights, surprise)


def _layers_first(gate: Tensor) -> Tensor:
    """`[batch, heads, time(, layers)]` to `[1 | layers, batch * heads, time]`."""
    if gate.dim() == 3:
        return gate.flatten(0, 1)[None]
    return gate.flatten(0, 1).movedim(-1, 0)


def _decays(forget: Tensor, momentum: Tensor, step: Tensor) -> list[Decay]:
    """The decay factors of all chunks at once; gates are `[1 | layers, batch * heads, N, C]`."""
    forget, momentum, step = torch.broadcast_tensors(forget, momentum, step)
    # As a logarithm, since next to 1 a small `alpha` would be rounded away.
    keep, kept = _products(torch.log1p(-forget))
    # The offset keeps the value and the gradient of a product right where a factor is 0.
    carry, carried = _products((momentum + torch.finfo(momentum.dtype).tiny ** 0.8).log())
    mix = keep @ carry
    writes = mix * step[..., None, :]
    last = torch.stack([writes[..., -1, :], carry[..., -1, :] * step], dim=-1)
    decay = (kept[..., None], keep @ carried[..., None], writes, last, carried[..., -1:, None])
    return [Decay(*chunk) for chunk in zip(*(x.unbind(2) for x in decay), strict=True)]


def _products(log: Tensor) -> tuple[Tensor, Tensor]:
    """Products of factors over `j < l <= t`, `[..., C, C]`, and over `l <= t`, `[..., C]`.

    Takes their logarithms `[..., C]` and sums each span by itself: differences of cumulative sums
    lose digits, ratios of cumulative products underflow.
    """
    size = log.shape[-1]
    spans = log[..., :, None].expand(*log.shape, size).tril(-1).cumsum(-2)
    return spans.exp().tril(), log.cumsum(-1).exp()


def _chunk(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    decay: Decay,
    memory: MemoryState,
    network: MemoryNetwork,
    clip: float | None,
) -> tuple[Tensor, MemoryState]:
    """One chunk `[batch * heads, C, dim]`: its outputs, and the memory after its last token."""
    weights, momentum = memory
    inputs, errors = network.errors(weights, keys, values)
    errors = [_clip(x, error, clip) for x, error in zip(inputs, errors, strict=True)]
    shared = decay.weights.shape[0] == 1
    gates = [Decay(*(x[0 if shared else layer] for x in decay)) for layer in range(len(weights))]

    def linear(layer: int, hidden: Tensor) -> Tensor:
        gate = gates[layer]
        both = hidden @ torch.cat([weights[layer], momentum[layer]], dim=1).mT
        start, surprise = both.chunk(2, dim=-1)
        scores = (hidden @ inputs[layer].mT) * gate.writes
        return gate.weights * start + gate.momentum * surprise - scores @ errors[layer]

    output = network.forward(len(weights), linear, queries)
    new = [_last(*parts) for parts in zip(weights, momentum, inputs, errors, gates, strict=True)]
    return output, MemoryState(tuple(w for w, _ in new), tuple(s for _, s in new))


def _clip(x: Tensor, error: Tensor, clip: float | None) -> Tensor:
    """Bounds the norm of `error x^T`, which is the product of the two norms."""
    if clip is None:
        return error
    norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    return error * clip_factor(norm * torch.linalg.vector_norm(error, dim=-1, keepdim=True), clip)


def _last(
    weights: Tensor, momentum: Tensor, x: Tensor, error: Tensor, gate: Decay
) -> tuple[Tensor, Tensor]:
    """`W` and `S` of one layer after the chunk's last token."""
    scaled = torch.cat([error * gate.last[..., :1], error * gate.last[..., 1:]], dim=-1)
    write, surprise = (scaled.mT @ x).chunk(2, dim=1)
    kept, added = gate.weights[:, -1:], gate.momentum[:, -1:]
    return kept * weights + added * momentum - write, gate.momentum_left * momentum - surprise
