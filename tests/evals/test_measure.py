"""Times and peaks are those of the call, whatever ran before it."""

import logging
import sys
from collections.abc import Callable
from math import isnan
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from titans.evals import measure, memory_limit
from titans.evals.measure import high_water, peak_megabytes, timings
from titans.evals.memory_limit import is_out_of_memory, within_free_memory
from titans.evals.proc import kilobytes

CPU = torch.device("cpu")
linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def holds(megabytes: int) -> Callable[[], None]:
    """A call that fills so much memory and frees it."""

    def call() -> None:
        torch.ones(megabytes, 2**18)

    return call


def test_warms_up_and_then_times_each_run() -> None:
    calls: list[None] = []
    found = list(timings(lambda: calls.append(None), CPU, runs=6, warm_up=3))
    assert (len(found), len(calls)) == (6, 9)
    assert all(seconds >= 0 for seconds in found)


def test_a_slow_run_is_timed_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 1.0, 10.0, 11.0, 20.0, 70.0, 80.0, 81.0, 90.0, 91.0])
    monkeypatch.setattr(measure, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
    assert list(timings(lambda: None, CPU, runs=5, warm_up=0)) == [1, 1, 50, 1, 1]


def test_fewer_than_five_runs_are_refused() -> None:
    with pytest.raises(ValueError, match="4 runs"):
        next(timings(lambda: None, CPU, runs=4))


@linux
def test_the_peak_is_what_a_call_holds_at_most() -> None:
    kept = torch.ones(64, 2**18)
    large, small = (peak_megabytes(holds(size), CPU) for size in (96, 24))
    # Linux counts pages in batches.
    assert 94 < large < 104
    # Neither what is held besides, nor an earlier and higher peak counts.
    assert 22 < small < 32
    assert kept.sum() > 0
    assert high_water() > 64


def test_elsewhere_the_peak_is_the_growth_of_the_process_and_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("no /proc here")

    measure._say_that_peaks_are_rough.cache_clear()
    monkeypatch.setattr(Path, "write_text", refuse)
    marks = iter([100.0, 140.0, 140.0, 140.0])
    monkeypatch.setattr(measure, "high_water", lambda: next(marks))
    with caplog.at_level(logging.WARNING):
        assert peak_megabytes(lambda: None, CPU) == 40
        assert isnan(peak_megabytes(lambda: None, CPU))
    assert len(caplog.records) == 1


@pytest.mark.gpu
def test_on_a_gpu_its_tensors_count() -> None:
    device = torch.device("cuda")
    peak = peak_megabytes(lambda: torch.ones(32, 2**18, device=device), device)
    assert 32 <= peak < 36


@linux
def test_beyond_the_free_memory_an_allocation_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    has = kilobytes("/proc/self/status", "VmData") * 2**10
    monkeypatch.setattr(memory_limit, "_limit", lambda: has + 64 * 2**20)
    with pytest.raises(RuntimeError) as refused, within_free_memory(CPU):
        holds(512)()
    assert is_out_of_memory(refused.value)
    holds(512)()


def test_other_errors_are_not_a_lack_of_memory() -> None:
    assert is_out_of_memory(MemoryError())
    assert is_out_of_memory(torch.OutOfMemoryError())
    assert not is_out_of_memory(RuntimeError("shapes do not fit"))


@linux
def test_a_size_that_is_not_there_is_refused() -> None:
    with pytest.raises(OSError, match="VmNone"):
        kilobytes("/proc/self/status", "VmNone")
