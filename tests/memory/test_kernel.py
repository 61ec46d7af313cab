"""The kernel in C++: the numbers of the equations, their gradients, and when it is taken."""

import logging
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.memory.cases import GATES, SEQUENCES, Case, call, differentiate, lowered, make
from titans.memory import (
    GELU,
    MemoryNetwork,
    MemoryState,
    NeuralMemory,
    body,
    build,
    compilation,
    compile_chunks,
    kernel,
    memorize,
    memorize_reference,
)
from titans.memory.chunk import Rule

TIME, CHUNK = 70, 16


@pytest.fixture(autouse=True)
def _compiled() -> Iterator[None]:
    if not compilation._has_compiler() or build.module() is None:
        pytest.skip("the kernel cannot be built here")
    compile_chunks(True)
    yield
    compile_chunks(False)


def case(widths: tuple[int, ...] = (6, 12, 6), *, own: bool = False, time: int = TIME) -> Case:
    """Arguments of `memorize`, of two sequences and two heads; `own` gates a layer."""
    dim, hidden, out, depth = widths[0], widths[1], widths[-1], len(widths) - 1
    shape = {"dim": dim, "hidden": hidden, "out": out, "depth": depth}
    made = make(**shape, layers=own * depth, time=time, batch=2, heads=2)
    made["momentum"][:, :, 3] = 0
    return made


def expected(case: Case, **more: Any) -> dict[str, Tensor]:
    return differentiate(memorize_reference, case, chunk_size=CHUNK, **more)


def found(case: Case, dtype: torch.dtype = torch.float32, **more: Any) -> dict[str, Tensor]:
    return differentiate(memorize, lowered(case, dtype), chunk_size=CHUNK, **more)


def farthest(found: dict[str, Tensor], expected: dict[str, Tensor]) -> float:
    """The largest error of a tensor, as a share of its norm; not a number where one is not."""
    errors = [
        (found[name].double() - x).norm() / x.norm().clamp_min(1e-30)
        for name, x in expected.items()
    ]
    return torch.stack(errors).max().item()


def taken(case: Case, network: MemoryNetwork, dtype: torch.dtype) -> bool:
    sequences = [case[name].flatten(0, 1).to(dtype) for name in SEQUENCES]
    return kernel.fits(Rule(network, None), sequences, [case[name].float() for name in GATES])


@pytest.mark.parametrize("clip", [None, 0.3])
@pytest.mark.parametrize("layers", ["shared", "own"])
@pytest.mark.parametrize("widths", [(6, 6), (6, 12, 6), (7, 9, 5), (4, 33, 33, 4), (16, 64, 16)])
def test_it_is_the_equations(widths: tuple[int, ...], layers: str, clip: float | None) -> None:
    arguments = case(widths, own=layers == "own")
    assert taken(arguments, MemoryNetwork(), torch.float32)
    assert farthest(found(arguments, clip=clip), expected(arguments, clip=clip)) < 2e-6


@pytest.mark.parametrize("time", [CHUNK, 2 * CHUNK, 9 * CHUNK, 17 * CHUNK + 1])
def test_so_it_is_in_one_span_and_in_several(time: int) -> None:
    arguments, settings = case(time=time), {"clip": 0.3, "residual": True}
    assert farthest(found(arguments, **settings), expected(arguments, **settings)) < 2e-6


def test_one_gate_of_all_layers_goes_with_several_of_another() -> None:
    arguments = case(own=True)
    arguments["momentum"] = arguments["momentum"][..., 0]
    assert farthest(found(arguments, clip=0.3), expected(arguments, clip=0.3)) < 2e-6


def test_what_forgets_all_is_the_equations_too() -> None:
    arguments = case()
    arguments["forget"][:, :, ::5] = 1
    assert farthest(found(arguments, clip=0.3), expected(arguments, clip=0.3)) < 2e-6


@pytest.mark.parametrize("widths", [(6, 12, 6), (7, 9, 5), (16, 64, 16)])
def test_in_bfloat16_it_is_as_close_as_the_operations(widths: tuple[int, ...]) -> None:
    arguments = case(widths)
    if not taken(arguments, MemoryNetwork(), torch.bfloat16):
        pytest.skip("this processor has no products of bfloat16")
    equations = expected(arguments, clip=0.3)
    ours = farthest(found(arguments, torch.bfloat16, clip=0.3), equations)
    compile_chunks(False)
    assert ours < 1.5 * farthest(found(arguments, torch.bfloat16, clip=0.3), equations)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_any_number_of_threads_computes_the_same(threads: int) -> None:
    arguments, before = case(), torch.get_num_threads()
    one = found(arguments)
    try:
        torch.set_num_threads(threads)
        other = found(arguments)
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(other[name], value) for name, value in one.items())


def test_a_little_forgetting_is_not_rounded_away() -> None:
    time, alpha = 4096, 1e-7
    tokens, gate = torch.zeros(1, 1, time, 4), torch.zeros(1, 1, time)
    state = MemoryState((torch.ones(1, 1, 4, 4),), (torch.zeros(1, 1, 4, 4),))
    forget = torch.full_like(gate, alpha)
    _, after = memorize(tokens, tokens, tokens, forget, gate, gate, state, chunk_size=64)
    forgotten = 1 - after.weights[0].double().mean().item()
    assert forgotten == pytest.approx(1 - (1 - alpha) ** time, rel=0.01)


def test_nothing_is_written_where_nothing_may_be() -> None:
    arguments = case()
    arguments["keys"][0, 0, 5] = 0
    equations = call(
        memorize_reference, arguments | {"step": 0 * arguments["step"]}, chunk_size=CHUNK
    )
    ours = call(memorize, lowered(arguments, torch.float32), chunk_size=CHUNK, clip=0.0)
    assert farthest(ours, equations) < 2e-6


def test_what_comes_later_changes_nothing_before() -> None:
    arguments = lowered(case(time=64), torch.float32)
    outputs = call(memorize, arguments, chunk_size=CHUNK)["outputs"]
    for name in SEQUENCES + GATES:
        changed = arguments[name].clone()
        changed[:, :, 40] *= 0.5
        after = call(memorize, arguments | {name: changed}, chunk_size=CHUNK)["outputs"]
        assert torch.equal(after[:, :, :40], outputs[:, :, :40]), name
        assert not torch.equal(after[:, :, 40:], outputs[:, :, 40:]), name


def test_what_is_not_a_number_stays_so() -> None:
    arguments = lowered(case(time=32), torch.float32)
    arguments["keys"][0, 0, 20] = torch.nan
    after = call(memorize, arguments, chunk_size=CHUNK, clip=0.3)
    assert after["outputs"][0, 0, :CHUNK].isfinite().all()
    assert after["outputs"][0, 0, 20:].isnan().all()
    assert after["weights0"][0, 0].isnan().any()
    assert after["weights0"][1].isfinite().all()


@pytest.mark.parametrize(
    ("network", "dtype"),
    [
        (MemoryNetwork(activation=GELU), torch.float32),
        (MemoryNetwork(normalise=True), torch.float32),
        (MemoryNetwork(), torch.float64),
    ],
)
def test_other_memories_are_left_to_the_compiler(
    network: MemoryNetwork, dtype: torch.dtype
) -> None:
    assert not taken(case(), network, dtype)


def test_a_copy_of_a_memory_takes_it_too() -> None:
    assert taken(case(), deepcopy(MemoryNetwork()), torch.float32)


def test_the_layer_takes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    layer, x = NeuralMemory(16, heads=2, chunk_size=CHUNK), torch.randn(2, 40, 16)
    called = []
    forward = body.KERNEL.forward
    noted = body.KERNEL._replace(forward=lambda *a: called.append(a) or forward(*a))
    monkeypatch.setattr(body, "KERNEL", noted)
    found, _ = layer(x)
    assert called
    compile_chunks(False)
    torch.testing.assert_close(found, layer(x)[0])


def test_a_kernel_that_cannot_be_built_is_done_without(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    monkeypatch.setenv("TORCH_EXTENSIONS_DIR", str(tmp_path))
    monkeypatch.setitem(build.FLAGS, torch.backends.cpu.get_cpu_capability(), ["-no-such-flag"])
    monkeypatch.setattr(kernel, "module", build.module.__wrapped__)
    kernel._multiplies.cache_clear()
    with caplog.at_level(logging.WARNING):
        assert not taken(case(), MemoryNetwork(), torch.float32)
    kernel._multiplies.cache_clear()
    assert "so PyTorch compiles instead" in caplog.text
