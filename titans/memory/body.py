"""What computes a chunk: the functions of `chunk` and `adjoint` as they are, or compiled.

A kernel that replaces them takes this place.
"""

import logging
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import torch

from titans.memory import adjoint, chunk, decay

log = logging.getLogger(__name__)


class Body(NamedTuple):
    """The functions that the work on a chunk consists of."""

    decays: Callable[..., Any]
    forward: Callable[..., Any]
    advance: Callable[..., Any]
    backward: Callable[..., Any]


EAGER = Body(decay.decays, chunk.forward, chunk.advance, adjoint.backward)
_compiled = False


def compile_chunks(wanted: bool) -> None:
    """Compiles the work on one chunk at its next use, or does so no longer.

    Without a C++ compiler it says so, and nothing is compiled.
    """
    global _compiled
    _compiled = wanted and _has_compiler()
    if wanted and not _compiled:
        log.warning("hardware.compile: there is no C++ compiler, so nothing is compiled")


def chosen() -> Body:
    """What computes chunks now."""
    return _compile() if _compiled else EAGER


@cache
def _compile() -> Body:
    # One chunk and not the loop over them, which takes minutes to compile.
    return Body(*(torch.compile(function, fullgraph=True) for function in EAGER))


def _has_compiler() -> bool:
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch._inductor.exc import InvalidCxxCompiler

    try:
        get_cpp_compiler()
    except InvalidCxxCompiler:
        return False
    return True
