"""Running out of memory as an exception, on a CPU too."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from titans.evals.proc import kilobytes

FREE = "MemAvailable"


@contextmanager
def within_free_memory(device: torch.device) -> Iterator[None]:
    """Inside, an allocation beyond the free memory raises; else Linux would end the process.

    A GPU refuses by itself. Known misses: other systems than Linux, and the limit of a container
    that is lower than the machine's free memory.
    """
    limit = _limit() if device.type == "cpu" else None
    if limit is None:
        yield
        return
    before = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an allocation failed; torch has no exception of its own for a CPU's."""
    names = ("DefaultCPUAllocator", "bad_alloc", "Storage size calculation overflowed")
    refused = any(name in str(error) for name in names)
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or refused


def _limit() -> int | None:
    """Bytes of data that the process may have: what it has, and what is free."""
    try:
        has, free = kilobytes("/proc/self/status", "VmData"), kilobytes("/proc/meminfo", FREE)
    except OSError:
        return None
    given = [x for x in resource.getrlimit(resource.RLIMIT_DATA) if x != resource.RLIM_INFINITY]
    return min([(has + free) * 2**10, *given])
