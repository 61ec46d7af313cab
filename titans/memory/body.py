"""What computes a span of chunks: PyTorch's operations as they are or compiled, or a C++ kernel.

A kernel for another device takes its place here.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

from torch import Tensor

from titans.memory import kernel, span
from titans.memory.chunk import Rule
from titans.memory.compilation import compiled, wanted


class Body(NamedTuple):
    """`forward` and `backward` of `titans.memory.span`, or what replaces them."""

    forward: Callable[..., Any]
    backward: Callable[..., Any]


EAGER = Body(partial(span.forward, span.EAGER), partial(span.backward, span.EAGER))
KERNEL = Body(kernel.forward, kernel.backward)


def chosen(
    rule: Rule, sequences: Sequence[Tensor], precise: Sequence[Tensor], *, once: bool = False
) -> Body:
    """What computes chunks of such sequences, gates and memory now.

    Args:
        rule: what is the same for all chunks.
        sequences: queries, keys and targets.
        precise: gates and memory.
        once: whether chunks of this size are not worth a compilation.
    """
    if not wanted():
        return EAGER
    if kernel.fits(rule, sequences, precise):
        return KERNEL
    if once:
        return EAGER
    # One chunk and not the loop over them, which takes minutes to compile.
    work = span.Work(*(compiled(function) for function in span.EAGER))
    return Body(partial(span.forward, work), partial(span.backward, work))
