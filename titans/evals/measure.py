"""The seconds and the peak memory of a call, on a GPU or on a CPU."""

import ctypes
import gc
import logging
import resource
import sys
import time
from collections.abc import Callable, Iterator
from functools import cache
from math import nan
from pathlib import Path

import torch

from titans.evals.proc import kilobytes

log = logging.getLogger(__name__)

LEAST_RUNS = 5
STATUS = "/proc/self/status"

Call = Callable[[], object]


def timings(
    call: Call, device: torch.device, *, runs: int = LEAST_RUNS, warm_up: int = 2
) -> Iterator[float]:
    """Seconds of one call after the other, each with all that it set off on the device.

    Args:
        call: what is timed.
        device: where it computes.
        runs: how many are timed; their median is what to report.
        warm_up: calls before them, which fill caches and choose kernels.

    Raises:
        ValueError: fewer than `LEAST_RUNS`, whose median one slow run would move.
    """
    if runs < LEAST_RUNS:
        raise ValueError(f"the median of {runs} runs is no measurement: take {LEAST_RUNS} or more")
    for _ in range(warm_up):
        call()
    for _ in range(runs):
        _synchronize(device)
        began = time.perf_counter()
        call()
        _synchronize(device)
        yield time.perf_counter() - began


def peak_megabytes(call: Call, device: torch.device) -> float:
    """Most memory (2^20 bytes) held at once during a call, above what is held before it.

    Warm up first: what a first call leaves behind (states of the optimiser, work spaces) belongs
    to what is held before.

    Args:
        call: what is measured.
        device: where it computes. On a GPU the tensors of this process count; elsewhere the
            process's resident memory, for which Linux can restart the high-water mark. Where that
            cannot be done the growth of the whole process's mark is taken, which is too low after
            a larger call, and NaN where it did not grow.
    """
    gc.collect()
    if device.type == "cuda":
        return _peak_of_device(call, device)
    _return_freed_memory()
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        idle = kilobytes(STATUS, "VmRSS")
    except OSError:
        return _growth(call)
    call()
    return (kilobytes(STATUS, "VmHWM") - idle) / 2**10


def high_water() -> float:
    """Most memory (2^20 bytes) that the process has had, since `peak_megabytes` if that ran."""
    # In bytes on a Mac, in units of 1,024 elsewhere.
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _peak_of_device(call: Call, device: torch.device) -> float:
    torch.cuda.synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    idle = torch.cuda.memory_allocated(device)
    call()
    torch.cuda.synchronize(device)
    return (torch.cuda.max_memory_allocated(device) - idle) / 2**20


def _growth(call: Call) -> float:
    _say_that_peaks_are_rough()
    before = high_water()
    call()
    return high_water() - before or nan


def _return_freed_memory() -> None:
    """Hands back what the allocator keeps for later, where it is glibc's."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (AttributeError, OSError, TypeError):
        log.debug("no malloc_trim: freed memory may count as held before a call")


@cache
def _say_that_peaks_are_rough() -> None:
    log.warning(
        "peak memory: the high-water mark cannot be restarted here, so each peak is the growth "
        "of the whole process's, and missing where an earlier one was higher"
    )
