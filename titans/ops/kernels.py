"""Whether flash-linear-attention's kernels compute what also has a form of ours."""

import logging
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec

from torch import Tensor

log = logging.getLogger(__name__)

_forced: bool | None = None


def force(choice: bool | None) -> None:
    """Uses the kernels (True), never (False), or where they are installed and work (None).

    Raises:
        ValueError: they are asked for, and not installed.
    """
    global _forced
    if choice and not _installed():
        raise ValueError(
            "hardware.kernels=true needs flash-linear-attention: pip install -e '.[gpu]', "
            "or leave hardware.kernels at null"
        )
    _forced = choice


def wanted(x: Tensor) -> bool:
    """Whether an operation on `x` should use a kernel; says so once."""
    use = _forced if _forced is not None else x.is_cuda and _installed()
    _say(use)
    return use


@cache
def _installed() -> bool:
    return find_spec("fla") is not None and find_spec("triton") is not None


@cache
def _say(use: bool) -> None:
    if use:
        log.info("recurrences: kernels of flash-linear-attention %s", version("fla-core"))
    else:
        log.info("recurrences: the chunked forms in titans/ops")
