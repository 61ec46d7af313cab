"""A few chunks one after the other, in PyTorch's operations.

Of each chunk the gradient needs the memory that it began with: that of every other one is kept, the
one after it is computed again.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from titans.memory import adjoint, chunk, decay
from titans.memory.chunk import Rule, Tape
from titans.memory.decay import Decay
from titans.memory.stacked import Stacked


class Work(NamedTuple):
    """The functions that the work on a chunk consists of, compiled or not."""

    decays: Callable[..., Any]
    forward: Callable[..., Any]
    advance: Callable[..., Any]
    backward: Callable[..., Any]


EAGER = Work(decay.decays, chunk.forward, chunk.advance, adjoint.backward)


class Kept(NamedTuple):
    """Of one chunk: the memory that it began with, None of every other one, and the tape."""

    memory: list[Stacked] | None
    tape: Tape


def forward(
    work: Work,
    rule: Rule,
    sequences: Sequence[Tensor],
    gates: Sequence[Tensor],
    memory: list[Stacked],
) -> tuple[Tensor, list[Stacked], list[Kept]]:
    """What the last layer reads for each query, the memory after the span, and what is kept.

    Args:
        work: what computes a chunk.
        rule: what is the same for all chunks.
        sequences: queries, keys and targets, `[batch * heads, chunks * C, width]`.
        gates: `alpha`, `eta` and `theta`, `[1 | layers, batch * heads, chunks, C]`.
        memory: `W` and `S`, a layer each.
    """
    factors = _apart(work.decays(*gates), memory)
    outputs, kept = list[Tensor](), list[Kept]()
    for index, pieces in enumerate(_chunks(sequences, gates)):
        before = memory
        output, memory, tape = work.forward(rule, pieces, factors[index], before)
        outputs.append(output)
        kept.append(Kept(None if index % 2 else before, tape))
    return torch.cat(outputs, dim=1), memory, kept


def backward(
    work: Work,
    rule: Rule,
    output: Tensor,
    after: list[Tensor],
    sequences: Sequence[Tensor],
    gates: Sequence[Tensor],
    kept: Sequence[Kept],
) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    """Gradients with respect to the sequences, the gates, and the memory before the span.

    Args:
        work: what computes a chunk.
        rule: what is the same for all chunks.
        output: gradient with respect to what was read.
        after: with respect to `W'` and `S'`, stacked.
        sequences: as in `forward`.
        gates: likewise.
        kept: what `forward` returned.
    """
    with torch.enable_grad():
        leaves = [gate.detach().requires_grad_() for gate in gates]
        factors = work.decays(*leaves)
    parts = _apart(Decay(*(factor.detach() for factor in factors)), after)
    chunks = list(_chunks([*sequences, output], gates))
    found: list[tuple[Tensor, ...]] = []
    to_factors: list[list[Decay]] = []
    for index in range(len(chunks) - 1, -1, -1):
        *pieces, to_output = chunks[index]
        memory, tape = kept[index]
        if memory is None:
            _, *pairs, _ = chunks[index - 1]
            before = kept[index - 1].memory
            memory = work.advance(rule, *pairs, parts[index - 1], before)
        three, after, to_decay = work.backward(
            rule, to_output, after, pieces, parts[index], memory, tape
        )
        found.insert(0, three)
        to_factors.insert(0, to_decay)
    to_gates = torch.autograd.grad(factors, leaves, _together(to_factors, factors))
    return [torch.cat(x, dim=1) for x in zip(*found, strict=True)], list(to_gates), after


def _chunks(sequences: Sequence[Tensor], gates: Sequence[Tensor]) -> list[tuple[Tensor, ...]]:
    """The sequences chunk by chunk."""
    size = gates[0].shape[-1]
    return list(zip(*(x.split(size, dim=1) for x in sequences), strict=True))


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
