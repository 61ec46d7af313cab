"""A span of chunks in C++, for processors with AVX2 or AVX-512: `titans.memory.span` head by head.

A head's matrices then stay in its processor's cache, and what is small costs no call of PyTorch.
Built where it is first used, and kept for the next time.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from titans.memory.build import module
from titans.memory.chunk import Rule
from titans.memory.network import SILU
from titans.memory.stacked import Stacked


def fits(rule: Rule, sequences: Sequence[Tensor], precise: Sequence[Tensor]) -> bool:
    """Whether the kernel computes such chunks, on this machine.

    Args:
        rule: what is the same for all chunks.
        sequences: queries, keys and targets.
        precise: gates and memory.
    """
    plain = rule.network.activation == SILU and not rule.network.normalise
    dtypes = {x.dtype for x in sequences}
    return (
        plain
        and all(x.device.type == "cpu" for x in (*sequences, *precise))
        and all(x.dtype == torch.float32 for x in precise)
        and dtypes in ({torch.float32}, {torch.bfloat16})
        and _multiplies(bfloat16=torch.bfloat16 in dtypes)
    )


class Kept(NamedTuple):
    """The memory before the span, and what the kernel keeps."""

    memory: list[Stacked]
    rest: Any


def forward(
    rule: Rule, sequences: Sequence[Tensor], gates: Sequence[Tensor], memory: list[Stacked]
) -> tuple[Tensor, list[Stacked], Kept]:
    """`span.forward`."""
    output, after, kept = module().forward(_span(rule, sequences, gates, memory))
    layers = zip(memory, after, strict=True)
    return output, [layer._replace(matrix=x) for layer, x in layers], Kept(memory, kept)


def backward(
    rule: Rule,
    output: Tensor,
    after: list[Tensor],
    sequences: Sequence[Tensor],
    gates: Sequence[Tensor],
    kept: Kept,
) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    """`span.backward`."""
    span = _span(rule, sequences, gates, kept.memory)
    gradients: tuple[list[Tensor], ...] = module().backward(span, kept.rest, output, after)
    to_sequences, to_gates, to_memory = gradients
    return to_sequences, to_gates, to_memory


def _span(
    rule: Rule, sequences: Sequence[Tensor], gates: Sequence[Tensor], memory: list[Stacked]
) -> Any:
    matrices, widens = zip(*memory, strict=True)
    return module().Span(sequences, gates, matrices, widens, rule.clip)


@cache
def _multiplies(*, bfloat16: bool) -> bool:
    """Whether the kernel is there, and this processor has the products that it is made of."""
    if (kernel := module()) is None:
        return False
    try:
        kernel.multiply(bfloat16)
    except RuntimeError:
        return False
    return True
