"""Whether the loops of the memory are compiled."""

import logging
from collections.abc import Callable
from functools import cache
from typing import Any

import torch

log = logging.getLogger(__name__)
_wanted = False


def compile_chunks(wanted: bool) -> None:
    """Compiles the work on one chunk or block at its next use, or does so no longer.

    Without a C++ compiler it says so, and nothing is compiled.
    """
    global _wanted
    _wanted = wanted and _has_compiler()
    if _wanted:
        # Shapes past the compiler's limit are computed as they are: no one need be warned.
        logging.getLogger("torch._dynamo").setLevel(logging.ERROR)
    if wanted and not _wanted:
        log.warning("hardware.compile: there is no C++ compiler, so nothing is compiled")


def wanted() -> bool:
    """Whether anything is compiled."""
    return _wanted


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, compiled where that is wanted now."""
    return _compile(function) if _wanted else function


@cache
def _compile(function: Callable[..., Any]) -> Callable[..., Any]:
    # No `fullgraph`: shapes past the compiler's limit are then computed uncompiled.
    return torch.compile(function)


def _has_compiler() -> bool:
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch._inductor.exc import InvalidCxxCompiler

    try:
        get_cpp_compiler()
    except InvalidCxxCompiler:
        return False
    return True
