"""What computes a chunk: the functions of `chunk` and `adjoint` as they are, or compiled.

A kernel that replaces them takes this place.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from titans.memory import adjoint, chunk, decay
from titans.memory.compilation import compiled


class Body(NamedTuple):
    """The functions that the work on a chunk consists of."""

    decays: Callable[..., Any]
    forward: Callable[..., Any]
    advance: Callable[..., Any]
    backward: Callable[..., Any]


EAGER = Body(decay.decays, chunk.forward, chunk.advance, adjoint.backward)


def chosen() -> Body:
    """What computes chunks now."""
    # One chunk and not the loop over them, which takes minutes to compile.
    return Body(*(compiled(function) for function in EAGER))
