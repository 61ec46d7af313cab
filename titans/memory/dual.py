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

from titans.memory.body import EAGER, Body, chosen
from titans.memory.chunk import Rule
from titans.memory.decay import Decay
from titans.memory.network import PLAIN, MemoryNetwork, MemoryState, check
from titans.memory.stacked import Stacked
from titans.shapes import Gate, HeadSequence

# Chunks whose gates are turned into factors together; even, since every other memory is kept.
GROUP = 4


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
    memory = [Stacked.of(*pair) for pair in zip(*state, strict=True)]

    whole = time - time % chunk_size
    outputs = [sequences[2][:, :0]]
    for start, stop, size in ((0, whole, chunk_size), (whole, time, time - whole)):
        if start < stop:
            pieces = [x[:, start:stop] for x in sequences]
            factors = [g[:, :, start:stop].unflatten(2, (-1, size)) for g in gates]
            # A last, shorter chunk may be of any size: it is not worth a compilation.
            body = chosen() if size == chunk_size else EAGER
            output, memory = _chunks(Rule(network, clip), body, pieces, factors, memory)
            outputs.append(output)

    raw = torch.cat(outputs, dim=1) if len(outputs) != 2 else outputs[1]
    weights, surprise = zip(*(layer.apart(batch) for layer in memory), strict=True)
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
    """Chunks one after the other; keeps every other memory and a few of the products."""

    @staticmethod
    def forward(ctx: Any, setting: Setting, *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.save_for_backward(*tensors[:6])
        parts = [tensor.detach() for tensor in tensors]
        sequences, gates, memory = parts[:3], parts[3:6], setting.stacked(parts[6:])
        output = torch.empty_like(sequences[2])
        ctx.setting, ctx.kept = setting, []
        for group in _groups(gates[0]):
            factors = _apart(setting.body.decays(*(gate[:, :, group] for gate in gates)), memory)
            for index, place in enumerate(_places(group, gates[0])):
                before, chunk = memory, _cut(sequences, place)
                output[:, place], memory, tape = setting.body.forward(
                    setting.rule, chunk, factors[index], before
                )
                if setting.keep:
                    ctx.kept.append((None if index % 2 else before, tape))
        return output, *(layer.matrix for layer in memory)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, output: Tensor, *after: Tensor) -> tuple[Tensor | None, ...]:
        with torch.autocast(output.device.type, enabled=False):
            return None, *_backward(ctx, output, list(after))


def _backward(ctx: Any, output: Tensor, to_memory: list[Tensor]) -> tuple[Tensor, ...]:
    """Gradients of the sequences, the gates and the memory, from the last chunk to the first."""
    saved = [tensor.detach() for tensor in ctx.saved_tensors]
    sequences, gates = saved[:3], saved[3:]
    retained = torch._C._autograd._get_current_graph_task_keep_graph()
    # Where no second gradient can be asked for, what is kept is freed chunk by chunk.
    kept = list(ctx.kept) if retained else ctx.kept
    rule, body, found = ctx.setting.rule, ctx.setting.body, list[tuple[Tensor, ...]]()
    to_gates = [torch.empty_like(gate) for gate in gates]
    for group in reversed(list(_groups(gates[0]))):
        with torch.enable_grad():
            leaves = [gate[:, :, group].detach().requires_grad_() for gate in gates]
            factors = body.decays(*leaves)
        decays = _apart(Decay(*(factor.detach() for factor in factors)), to_memory)
        chunks = [_cut((*sequences, output), place) for place in _places(group, gates[0])]
        to_factors: list[list[Decay]] = []
        for index in range(len(chunks) - 1, -1, -1):
            *chunk, to_output = chunks[index]
            memory, tape = kept.pop()
            if memory is None:
                _, *pairs, _ = chunks[index - 1]
                memory = body.advance(rule, *pairs, decays[index - 1], kept[-1][0])
            three, to_memory, to_decay = body.backward(
                rule, to_output, to_memory, chunk, decays[index], memory, tape
            )
            found.append(three)
            to_factors.insert(0, to_decay)
        gradients = torch.autograd.grad(factors, leaves, _together(to_factors, factors))
        for whole, part in zip(to_gates, gradients, strict=True):
            whole[:, :, group] = part
    to_sequences = [torch.cat(parts[::-1], dim=1) for parts in zip(*found, strict=True)]
    return *to_sequences, *to_gates, *to_memory


def _groups(gate: Tensor) -> Iterator[slice]:
    """Numbers of the chunks that are taken together."""
    chunks = gate.shape[2]
    return (slice(first, min(first + GROUP, chunks)) for first in range(0, chunks, GROUP))


def _places(group: slice, gate: Tensor) -> list[slice]:
    """The tokens of each chunk of a group."""
    size = gate.shape[3]
    return [slice(n * size, (n + 1) * size) for n in range(group.start, group.stop)]


def _cut(sequences: Sequence[Tensor], place: slice) -> list[Tensor]:
    return [x[:, place] for x in sequences]


def _apart(factors: Decay, memory: Sequence[Any]) -> list[list[Decay]]:
    """The factors by chunk and layer."""
    chunks = zip(*(factor.unbind() for factor in factors), strict=True)
    apart = [[Decay(*gate) for gate in zip(*chunk, strict=True)] for chunk in chunks]
    return [gates * (len(memory) // len(gates)) for gates in apart]


def _together(found: list[list[Decay]], factors: Decay) -> list[Tensor]:
    """Gradients by chunk and layer as those of the factors; a gate of all layers gets the sum."""
    return [
        torch.stack([torch.stack([layer[index] for layer in chunk]) for chunk in found])
        .sum_to_size(factor.shape)
        for index, factor in enumerate(factors)
    ]  # fmt: skip
