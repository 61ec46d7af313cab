"""Compiled or not, in blocks or at once, in bfloat16 or float32: the same numbers."""

import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from titans.memory import (
    MemoryNetwork,
    MemoryState,
    NeuralMemory,
    body,
    compilation,
    compile_chunks,
    memorize,
)
from titans.memory.blockwise import BLOCK, blockwise
from titans.memory.chunk import Rule
from titans.memory.flops import flops_per_token
from titans.memory.projection import Projection

ROOT = Path(__file__).parents[2]


def arguments(time: int = 70, **more: Any) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64) * 0.3

    gates = [normal(1, 2, time).sigmoid() * most for most in (0.1, 0.9, 0.1)]
    shapes = [(1, 2, 12, 6), (1, 2, 6, 12)]
    state = MemoryState(*(tuple(normal(*shape) for shape in shapes) for _ in range(2)))
    names = ("queries", "keys", "values", "forget", "momentum", "step")
    values = [*(normal(1, 2, time, 6) for _ in range(3)), *gates]
    leaves = {n: v.requires_grad_() for n, v in zip(names, values, strict=True)}
    return leaves | {"state": state, "chunk_size": 16, "clip": 0.3} | more


def gradients(outputs: Tensor, case: dict[str, Any]) -> list[Tensor]:
    leaves = [v for v in case.values() if isinstance(v, Tensor)]
    return list(torch.autograd.grad(outputs.square().sum(), leaves))


def test_compiled_chunks_are_the_chunks() -> None:
    if not compilation._has_compiler():
        pytest.skip("there is no C++ compiler")
    command = [sys.executable, "-m", "tests.compiled"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    of_chunks, past_the_limit, of_layers = map(float, done.stdout.split())
    assert of_chunks < 1e-10
    assert past_the_limit < 1e-10
    assert of_layers < 1e-10


def test_without_a_compiler_nothing_is_compiled(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(compilation, "_has_compiler", lambda: False)
    with caplog.at_level(logging.WARNING):
        compile_chunks(True)
    keys = torch.zeros(1, 16, 6)
    assert body.chosen(Rule(MemoryNetwork(), None), [keys], [keys]) == body.EAGER
    assert "no C++ compiler" in caplog.text


def test_the_gradient_can_be_taken_again_where_the_graph_is_retained() -> None:
    case = arguments()
    outputs, _ = memorize(**case)
    loss = outputs.square().sum()
    first, second = (torch.autograd.grad(loss, case["keys"], retain_graph=True)[0] for _ in "ab")
    assert torch.equal(first, second)
    torch.autograd.grad(loss, case["keys"])
    with pytest.raises(RuntimeError, match="second time"):
        torch.autograd.grad(loss, case["keys"])


def test_the_gradient_of_the_gradient_is_refused() -> None:
    case = arguments()
    outputs, _ = memorize(**case)
    (first,) = torch.autograd.grad(outputs.square().sum(), case["keys"], create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()


@pytest.mark.parametrize("time", [1, BLOCK, BLOCK + 1, 2 * BLOCK + 7])
@pytest.mark.parametrize("bias", [False, True])
def test_a_projection_in_blocks_is_the_projection(time: int, bias: bool) -> None:
    torch.manual_seed(0)
    projection = Projection(3, 5, bias=bias).double()
    x = torch.randn(2, time, 3, dtype=torch.float64, requires_grad=True)
    past = torch.randn(2, 3, 5, dtype=torch.float64, requires_grad=True)
    leaves = [x, past, *projection.parameters()]
    found, after = projection(x, past)
    padded = torch.cat([past, projection.linear(x)], dim=1)
    mixed = sum(padded[:, lag : lag + time] * projection.kernel[lag] for lag in range(4))
    expected = torch.nn.functional.silu(
        mixed if projection.bias is None else mixed + projection.bias
    )
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(after, padded[:, time:])
    noise = torch.randn_like(found)
    for one, two in zip(
        torch.autograd.grad((found * noise).sum(), leaves),
        torch.autograd.grad((expected * noise).sum(), leaves),
        strict=True,
    ):
        torch.testing.assert_close(one, two)


def test_blocks_of_several_sequences_and_results() -> None:
    one, two = (torch.randn(2, 3, BLOCK + 5, 4, requires_grad=True) for _ in "ab")
    scale = torch.randn(4, requires_grad=True)
    results = blockwise(lambda a, b, s: (a * b * s, a + b), [one, two], [scale])
    expected = one * two * scale, one + two
    for found, wanted in zip(results, expected, strict=True):
        torch.testing.assert_close(found, wanted)
    for found, wanted in zip(
        torch.autograd.grad(sum(r.square().sum() for r in results), (one, two, scale)),
        torch.autograd.grad(sum(r.square().sum() for r in expected), (one, two, scale)),
        strict=True,
    ):
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)


def test_bfloat16_is_close_and_its_state_precise() -> None:
    torch.manual_seed(0)
    layer = NeuralMemory(32, heads=2, chunk_size=16, expansion=4.0)
    x = torch.randn(2, 100, 32)
    expected, _ = layer(x)
    expected.square().mean().backward()
    wanted = {n: p.grad.clone() for n, p in layer.named_parameters() if p.grad is not None}
    layer.zero_grad()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found, state = layer(x)
    found.float().square().mean().backward()
    assert found.dtype == torch.bfloat16
    assert state.memory.weights[0].dtype == torch.float32
    torch.testing.assert_close(found.float(), expected, atol=0.05, rtol=0.05)
    for name, parameter in layer.named_parameters():
        if name in wanted:
            error = (parameter.grad - wanted[name]).norm() / wanted[name].norm()
            assert error < 0.15, (name, error)


def test_flops_are_those_of_the_products() -> None:
    from torch.utils.flop_counter import FlopCounterMode

    layer, time = NeuralMemory(64, heads=2, chunk_size=32, expansion=4.0), 256

    def in_place(total: Any, left: Any, right: Any, **_: Any) -> int:
        return 2 * left[0] * left[1] * left[2] * right[2]

    # Which the counter leaves out.
    mapping = {torch.ops.aten.baddbmm_: in_place}
    with torch.no_grad(), FlopCounterMode(display=False, custom_mapping=mapping) as counter:
        layer(torch.randn(1, time, 64))
    formula = time * flops_per_token(
        64, heads=2, depth=2, expansion=4.0, chunk_size=32, gradient=False
    )
    # The counter also has the small products that turn gates into factors.
    assert formula < counter.get_total_flops() < 1.2 * formula
