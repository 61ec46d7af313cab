"""The kernel in C++: the numbers of the equations, their gradients, and when it is taken."""

import itertools
import logging
from collections.abc import Iterator
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

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
GATES = ("forget", "momentum", "step")


@pytest.fixture(autouse=True)
def _compiled() -> Iterator[None]:
    if not compilation._has_compiler() or build.module() is None:
        pytest.skip("the kernel cannot be built here")
    compile_chunks(True)
    yield
    compile_chunks(False)


def case(
    widths: tuple[int, ...] = (6, 12, 6), *, layers: int = 1, time: int = TIME, **more: Any
) -> dict[str, Any]:
    """Arguments of `memorize`, of two sequences and two heads."""
    normal = partial(torch.randn, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    axes = (2, 2, time) if layers == 1 else (2, 2, time, layers)
    gates = {n: normal(*axes).sigmoid() * m for n, m in zip(GATES, (0.1, 0.9, 0.03), strict=True)}
    gates["momentum"][:, :, 3] = 0
    shapes = [(2, 2, o, i) for i, o in itertools.pairwise(widths)]
    state = MemoryState(*(tuple(0.3 * normal(*shape) for shape in shapes) for _ in "WS"))
    inputs = {name: 0.5 * normal(2, 2, time, widths[0]) for name in ("queries", "keys")}
    values = 0.5 * normal(2, 2, time, widths[-1])
    return inputs | {"values": values, "state": state, "chunk_size": CHUNK} | gates | more


def results(function: Any, case: dict[str, Any], dtype: torch.dtype) -> list[Tensor]:
    """Outputs, the state after them, and gradients of all arguments, in float64."""
    low = {n: v.to(dtype) for n, v in case.items() if isinstance(v, Tensor)}
    precise = torch.promote_types(dtype, torch.float32)
    low |= {name: case[name].to(precise) for name in GATES}
    leaves = {name: value.requires_grad_() for name, value in low.items()}
    state = MemoryState(*(tuple(w.to(precise).requires_grad_() for w in x) for x in case["state"]))
    outputs, after = function(**case | leaves | {"state": state})
    everything = [outputs, *after.weights, *after.momentum]
    loss = sum(x.double().square().sum() for x in everything)
    wanted = [*leaves.values(), *state.weights, *state.momentum]
    found = [*everything, *torch.autograd.grad(loss, wanted)]  # type: ignore[arg-type]
    return [x.detach().double() for x in found]


def farthest(found: list[Tensor], expected: list[Tensor]) -> float:
    errors = [(a - b).norm() / b.norm() for a, b in zip(found, expected, strict=True)]
    return max(error.item() for error in errors)


def taken(case: dict[str, Any], network: MemoryNetwork, dtype: torch.dtype) -> bool:
    sequences = [case[name].flatten(0, 1).to(dtype) for name in ("queries", "keys", "values")]
    return kernel.fits(Rule(network, None), sequences, [case[name].float() for name in GATES])


@pytest.mark.parametrize("clip", [None, 0.3])
@pytest.mark.parametrize("layers", ["shared", "own"])
@pytest.mark.parametrize("widths", [(6, 6), (6, 12, 6), (7, 9, 5), (4, 33, 33, 4), (16, 64, 16)])
def test_it_is_the_equations(widths: tuple[int, ...], layers: str, clip: float | None) -> None:
    arguments = case(widths, layers=1 if layers == "shared" else len(widths) - 1, clip=clip)
    expected = results(memorize_reference, arguments, torch.float64)
    assert taken(arguments, MemoryNetwork(), torch.float32)
    assert farthest(results(memorize, arguments, torch.float32), expected) < 2e-6


@pytest.mark.parametrize("time", [CHUNK, 2 * CHUNK, 9 * CHUNK, 17 * CHUNK + 1])
def test_so_it_is_in_one_span_and_in_several(time: int) -> None:
    arguments = case(time=time, clip=0.3, residual=True)
    expected = results(memorize_reference, arguments, torch.float64)
    assert farthest(results(memorize, arguments, torch.float32), expected) < 2e-6


def test_one_gate_of_all_layers_goes_with_several_of_another() -> None:
    arguments = case(layers=2, clip=0.3)
    arguments["momentum"] = arguments["momentum"][..., 0]
    expected = results(memorize_reference, arguments, torch.float64)
    assert farthest(results(memorize, arguments, torch.float32), expected) < 2e-6


@pytest.mark.parametrize("widths", [(6, 12, 6), (7, 9, 5), (16, 64, 16)])
def test_in_bfloat16_it_is_as_close_as_the_operations(widths: tuple[int, ...]) -> None:
    arguments = case(widths, clip=0.3)
    if not taken(arguments, MemoryNetwork(), torch.bfloat16):
        pytest.skip("this processor has no products of bfloat16")
    expected = results(memorize_reference, arguments, torch.float64)
    ours = farthest(results(memorize, arguments, torch.bfloat16), expected)
    compile_chunks(False)
    assert ours < 1.5 * farthest(results(memorize, arguments, torch.bfloat16), expected)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_any_number_of_threads_computes_the_same(threads: int) -> None:
    arguments, before = case(), torch.get_num_threads()
    expected = results(memorize, arguments, torch.float32)
    try:
        torch.set_num_threads(threads)
        found = results(memorize, arguments, torch.float32)
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_a_little_forgetting_is_not_rounded_away() -> None:
    time, alpha = 4096, 1e-7
    tokens, gate = torch.zeros(1, 1, time, 4), torch.zeros(1, 1, time)
    state = MemoryState((torch.ones(1, 1, 4, 4),), (torch.zeros(1, 1, 4, 4),))
    forget = torch.full_like(gate, alpha)
    _, after = memorize(tokens, tokens, tokens, forget, gate, gate, state, chunk_size=64)
    forgotten = 1 - after.weights[0].double().mean().item()
    assert forgotten == pytest.approx(1 - (1 - alpha) ** time, rel=0.01)


def test_nothing_is_written_where_nothing_may_be() -> None:
    arguments = case(clip=0.0)
    arguments["keys"][0, 0, 5] = 0
    expected = results(
        memorize_reference, arguments | {"step": 0 * arguments["step"]}, torch.float64
    )
    found = results(memorize, arguments, torch.float32)
    assert farthest(found[:5], expected[:5]) < 2e-6


def test_what_comes_later_changes_nothing_before() -> None:
    torch.manual_seed(0)
    arguments = {n: v.float() if isinstance(v, Tensor) else v for n, v in case(time=64).items()}
    state = MemoryState(*(tuple(w.float() for w in x) for x in arguments["state"]))
    outputs, _ = memorize(**arguments | {"state": state})
    for name in ("queries", "keys", "values", *GATES):
        changed = arguments[name].clone()
        changed[:, :, 40] *= 0.5
        found, _ = memorize(**arguments | {"state": state, name: changed})
        assert torch.equal(found[:, :, :40], outputs[:, :, :40]), name
        assert not torch.equal(found[:, :, 40:], outputs[:, :, 40:]), name


def test_what_is_not_a_number_stays_so() -> None:
    arguments = {n: v.float() if isinstance(v, Tensor) else v for n, v in case(time=32).items()}
    state = MemoryState(*(tuple(w.float() for w in x) for x in arguments["state"]))
    arguments["keys"][0, 0, 20] = torch.nan
    outputs, after = memorize(**arguments | {"state": state, "clip": 0.3})
    assert outputs[0, 0, :CHUNK].isfinite().all()
    assert outputs[0, 0, 20:].isnan().all()
    assert after.weights[0][0, 0].isnan().any()
    assert after.weights[0][1].isfinite().all()


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
