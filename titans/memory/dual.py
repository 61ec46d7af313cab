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

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from titans.memory.adjoint import backward
from titans.memory.chunk import Tape, forward, write
from titans.memory.decay import Decay, decays
from titans.memory.network import PLAIN, MemoryNetwork, MemoryState, check
from titans.shapes import Gate, HeadSequence


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
    targets = values - keys if network.residual else values
    sequences = [x.flatten(0, 1) for x in (queries, keys, targets)]
    gates = [_layers_first(gate) for gate in (forget, momentum, step)]
    memory = [w.flatten(0, 1) for part in state for w in part]

    whole = time - time % chunk_size
    outputs = [sequences[2][:, :0]]
    for start, stop, size in ((0, whole, chunk_size), (whole, time, time - whole)):
        if start < stop:
            pieces = [x[:, start:stop] for x in sequences]
            factors = [g[:, :, start:stop].unflatten(2, (-1, size)) for g in gates]
            output, *memory = _chunks(network, clip, size, *pieces, *factors, *memory)
            outputs.append(output)

    apart = [w.unflatten(0, (batch, heads)) for w in memory]
    layers = len(state.weights)
    raw = torch.cat(outputs, dim=1).unflatten(0, (batch, heads))
    return network.finish(raw, queries), MemoryState(tuple(apart[:layers]), tuple(apart[layers:]))


def _layers_first(gate: Tensor) -> Tensor:
    """`[batch, heads, time(, layers)]` to `[1 | layers, batch * heads, time]`."""
    if gate.dim() == 3:
        return gate.flatten(0, 1)[None]
    return gate.flatten(0, 1).movedim(-1, 0)


def _chunks(
    network: MemoryNetwork, clip: float | None, chunk_size: int, *tensors: Tensor
) -> tuple[Tensor, ...]:
    """Outputs before `network.finish`, and the weights and momentum of all layers after them."""
    keep = torch.is_grad_enabled()
    # Sums in place take one precision; the caller's tensors say which.
    with torch.autocast(tensors[0].device.type, enabled=False):
        results: tuple[Tensor, ...] = _Chunks.apply(network, clip, chunk_size, keep, *tensors)  # type: ignore[no-untyped-call]
    return results


class _Chunks(torch.autograd.Function):
    """Whole chunks one after the other; keeps their first states, and recomputes the rest."""

    @staticmethod
    def forward(
        ctx: Any,
        network: MemoryNetwork,
        clip: float | None,
        chunk_size: int,
        keep: bool,
        *tensors: Tensor,
    ) -> tuple[Tensor, ...]:
        sequences, gates, state = tensors[:3], tensors[3:6], tensors[6:]
        layers = len(state) // 2
        weights, momentum = state[:layers], state[layers:]
        outputs, states, tapes = [], [], []
        for (queries, keys, targets), gate in _each(sequences, decays(*gates), chunk_size, layers):
            before = weights, momentum
            written = write(keys, targets, weights, network, clip)
            reads, weights, momentum = forward(queries, written, gate, *before, network)
            outputs.append(reads[-1])
            if keep:
                states.append(before)
                tapes.append(Tape(written.preactivations, written.propagated, reads[:-1]))
        if keep:
            ctx.save_for_backward(*tensors[:6])
            ctx.states, ctx.tapes = states, tapes
            ctx.settings = network, clip, chunk_size
        return torch.cat(outputs, dim=1), *weights, *momentum

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        with torch.autocast(gradients[0].device.type, enabled=False):
            return (None, None, None, None, *_backward(ctx, *gradients))


def _backward(ctx: Any, output: Tensor, *after: Tensor) -> tuple[Tensor, ...]:
    """Gradients of the sequences, the gates and the state, from the last chunk to the first."""
    sequences, gates = ctx.saved_tensors[:3], ctx.saved_tensors[3:]
    network, clip, chunk_size = ctx.settings
    layers = len(after) // 2
    weights, momentum = after[:layers], after[layers:]
    with torch.enable_grad():
        gates = [gate.detach().requires_grad_() for gate in gates]
        factors = decays(*gates)
    decay = Decay(*(factor.detach() for factor in factors))
    gradient = Decay(*(torch.zeros_like(factor) for factor in decay))
    chunks = list(_each(sequences, decay, chunk_size, layers))
    places = list(_each([output], gradient, chunk_size, layers))
    found = []
    for (chunk, gate), ((out,), place), state, tape in reversed(
        list(zip(chunks, places, ctx.states, ctx.tapes, strict=True))
    ):
        three, weights, momentum = backward(
            out, (weights, momentum), chunk, gate, place, state, network, clip, tape
        )
        found.append(three)
    joined = [torch.cat(parts[::-1], dim=1) for parts in zip(*found, strict=True)]
    to_gates = torch.autograd.grad(factors, gates, gradient)
    return (*joined, *to_gates, *weights, *momentum)


def _each(
    sequences: Sequence[Tensor], factors: Decay, chunk_size: int, layers: int
) -> Iterator[tuple[tuple[Tensor, ...], list[Decay]]]:
    """The sequences' pieces and the factors of each layer, chunk by chunk."""
    pieces = zip(*(x.split(chunk_size, dim=1) for x in sequences), strict=True)
    for piece, chunk in zip(pieces, zip(*(x.unbind() for x in factors), strict=True), strict=True):
        gates = [Decay(*gate) for gate in zip(*(x.unbind() for x in chunk), strict=True)]
        yield piece, gates if len(gates) == layers else gates * layers
