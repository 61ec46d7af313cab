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
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from titans.memory.body import Body, chosen
from titans.memory.checks import check
from titans.memory.chunk import Rule
from titans.memory.network import PLAIN, MemoryNetwork, MemoryState
from titans.memory.stacked import Stacked
from titans.shapes import Gate, HeadSequence

# Chunks that are computed together, and whose memories are freed together; even, since every other
# one is kept.
SPAN = 8


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
        forget: `alpha` in [0, 1], the share forgotten, `[batch, heads, time]`, or
            `[batch, heads, time, layers]` for a gate per layer of the memory.
        momentum: `eta` in [0, 1], the decay of past surprise, likewise.
        step: `theta` >= 0, the size of the step, likewise.
        state: memory and momentum before the first token, which begins a chunk.
        chunk_size: how many tokens share the point at which gradients are taken.
        residual: `M(x) + x` instead of `M(x)`.
        clip: bound on the Frobenius norm of each token's gradient per layer, `None` for none.
        network: what the weights mean, where it is not the plain MLP with SiLU.

    Returns:
        Outputs `[batch, heads, time, out]` and the state after the last token.

    Raises:
        ValueError: `chunk_size` is below 1 or `clip` below 0, there are gates for another number
            of layers, or what belongs together is of different shapes.
    """
    check((queries, keys, values), (forget, momentum, step), state, chunk_size, clip)
    network = replace(network, residual=residual or network.residual)
    batch, heads, time, _ = keys.shape
    targets = values - keys if network.residual else values
    sequences = [x.flatten(0, 1) for x in (queries, keys, targets)]
    gates = [_layers_first(gate) for gate in (forget, momentum, step)]
    memory = [Stacked.of(*pair) for pair in zip(*state, strict=True)]
    rule = Rule(network, clip)

    whole = time - time % chunk_size
    outputs = [sequences[2][:, :0]]
    for start, stop, size in ((0, whole, chunk_size), (whole, time, time - whole)):
        if start < stop:
            pieces = [x[:, start:stop] for x in sequences]
            factors = [g[:, :, start:stop].unflatten(2, (-1, size)) for g in gates]
            precise = [*factors, *(layer.matrix for layer in memory)]
            # A last, shorter chunk may be of any size.
            body = chosen(rule, pieces, precise, once=size != chunk_size)
            output, memory = _chunks(rule, body, pieces, factors, memory)
            outputs.append(output)

    raw = torch.cat(outputs, dim=1) if len(outputs) != 2 else outputs[1]
    weights, surprise = zip(*(layer.apart(batch, heads) for layer in memory), strict=True)
    return network.finish(raw.unflatten(0, (batch, heads)), queries), MemoryState(weights, surprise)


def _layers_first(gate: Tensor) -> Tensor:
    """`[batch, heads, time(, layers)]` to `[1 | layers, batch * heads, time]`."""
    if gate.dim() == 3:
        return gate.flatten(0, 1)[None]
    return gate.flatten(0, 1).movedim(-1, 0)


def _chunks(
    rule: Rule,
    body: Body,
    sequences: list[Tensor],
    gates: list[Tensor],
    memory: list[Stacked],
) -> tuple[Tensor, list[Stacked]]:
    """Outputs before `network.finish`, and the memory after them."""
    setting = Setting(rule, body, [m.widens for m in memory], torch.is_grad_enabled())
    matrices = [layer.matrix for layer in memory]
    # Sums in place take one precision; the caller's tensors say which.
    with torch.autocast(sequences[0].device.type, enabled=False):
        output, *after = _Chunks.apply(setting, *sequences, *gates, *matrices)  # type: ignore[no-untyped-call]
    return output, setting.stacked(after)


class Setting(NamedTuple):
    """How chunks are computed; `keep` where a gradient will be asked for."""

    rule: Rule
    body: Body
    widens: list[bool]
    keep: bool

    def stacked(self, matrices: Sequence[Tensor]) -> list[Stacked]:
        """The layers of a memory."""
        return [Stacked(*pair) for pair in zip(matrices, self.widens, strict=True)]


class _Chunks(torch.autograd.Function):
    """Chunks one after the other, a span of them at a time."""

    @staticmethod
    def forward(ctx: Any, setting: Setting, *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.save_for_backward(*tensors[:6])
        parts = [tensor.detach() for tensor in tensors]
        sequences, gates, memory = parts[:3], parts[3:6], setting.stacked(parts[6:])
        output = torch.empty_like(sequences[2])
        ctx.setting, ctx.kept = setting, []
        for span in _spans(gates[0]):
            pieces = span.of(sequences, gates)
            output[:, span.tokens], memory, kept = setting.body.forward(
                setting.rule, *pieces, memory
            )
            if setting.keep:
                ctx.kept.append(kept)
        return output, *(layer.matrix for layer in memory)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, output: Tensor, *after: Tensor) -> tuple[Tensor | None, ...]:
        with torch.autocast(output.device.type, enabled=False):
            return None, *_backward(ctx, output, list(after))


def _backward(ctx: Any, output: Tensor, to_memory: list[Tensor]) -> tuple[Tensor, ...]:
    """Gradients of the sequences, the gates and the memory, from the last span to the first."""
    saved = [tensor.detach() for tensor in ctx.saved_tensors]
    sequences, gates = saved[:3], saved[3:]
    retained = torch._C._autograd._get_current_graph_task_keep_graph()
    # Where no second gradient can be asked for, what is kept is freed span by span.
    kept = list(ctx.kept) if retained else ctx.kept
    rule, body, found = ctx.setting.rule, ctx.setting.body, list[list[Tensor]]()
    to_gates = [torch.empty_like(gate) for gate in gates]
    for span in reversed(list(_spans(gates[0]))):
        pieces = span.of(sequences, gates)
        three, parts, to_memory = body.backward(
            rule, output[:, span.tokens], to_memory, *pieces, kept.pop()
        )
        found.insert(0, three)
        for whole, part in zip(to_gates, parts, strict=True):
            whole[:, :, span.chunks] = part
    to_sequences = [torch.cat(parts, dim=1) for parts in zip(*found, strict=True)]
    return *to_sequences, *to_gates, *to_memory


class _Span(NamedTuple):
    """Where some chunks are among all chunks, and among the tokens."""

    chunks: slice
    tokens: slice

    def of(self, sequences: list[Tensor], gates: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        return [x[:, self.tokens] for x in sequences], [gate[:, :, self.chunks] for gate in gates]


def _spans(gate: Tensor) -> Iterator[_Span]:
    """All chunks in spans."""
    chunks, size = gate.shape[2:]
    for first in range(0, chunks, SPAN):
        end = min(first + SPAN, chunks)
        yield _Span(slice(first, end), slice(first * size, end * size))
