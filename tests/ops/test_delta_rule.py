"""The chunked delta rule is the token-by-token one, value and gradient."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests import tensors
from tests.tensors import assert_same
from titans.ops.delta_rule import chunked, delta_rule, recurrent

Rule = Callable[..., tuple[Tensor, Tensor]]
Case = dict[str, Tensor]


def make(
    time: int = 37,
    dim: int = 5,
    out: int = 7,
    batch: int = 2,
    heads: int = 3,
    decay: float = 0.5,
    seed: int = 0,
) -> Case:
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    queries, keys = (F.normalize(normal(batch, heads, time, dim), dim=-1) for _ in range(2))
    return {
        "queries": queries,
        "keys": keys,
        "values": normal(batch, heads, time, out),
        "beta": normal(batch, heads, time).sigmoid(),
        "log_decay": -decay * normal(batch, heads, time).square(),
        "state": normal(batch, heads, dim, out),
    }


def differentiate(rule: Rule, case: Case, **more: Any) -> dict[str, Tensor]:
    return tensors.differentiate(
        lambda **leaves: dict(zip(("outputs", "end"), rule(**leaves, **more), strict=True)), case
    )


def assert_true(case: Case, **more: Any) -> None:
    assert_same(differentiate(chunked, case, **more), differentiate(recurrent, case), 1e-10)


@pytest.mark.parametrize("chunk_size", [1, 2, 16, 64])
@pytest.mark.parametrize("time", [0, 1, 5, 16, 37])
def test_any_time_and_chunk(time: int, chunk_size: int) -> None:
    assert_true(make(time=time), chunk_size=chunk_size)


@pytest.mark.parametrize("without", [("log_decay",), ("state",), ("log_decay", "state")], ids=str)
def test_defaults(without: tuple[str, ...]) -> None:
    case = make()
    filled = case | {name: torch.zeros_like(case[name]) for name in without}
    less = {name: x for name, x in case.items() if name not in without}
    assert_true(less, chunk_size=8)
    for rule in (chunked, recurrent):
        for found, expected in zip(rule(**less), rule(**filled), strict=True):
            assert torch.equal(found, expected)


@settings(max_examples=25)
@given(data=st.data())
def test_any_shape_and_split(data: st.DataObject) -> None:
    draw = lambda low, high: data.draw(st.integers(low, high))  # noqa: E731
    time, chunk_size = draw(0, 40), draw(1, 12)
    case = make(
        time=time,
        dim=draw(1, 6),
        out=draw(1, 6),
        batch=draw(1, 2),
        heads=draw(1, 3),
        seed=draw(0, 99),
    )
    assert_true(case, chunk_size=chunk_size)
    cuts = sorted(draw(0, time) for _ in range(2))
    outputs, state = [], case.pop("state")
    whole, end = chunked(**case, state=state, chunk_size=chunk_size)
    for start, stop in pairwise([0, *cuts, time]):
        piece = {name: x[:, :, start:stop] for name, x in case.items()}
        read, state = chunked(**piece, state=state, chunk_size=chunk_size)
        outputs.append(read)
    torch.testing.assert_close(torch.cat(outputs, dim=2), whole, atol=1e-12, rtol=0)
    torch.testing.assert_close(state, end, atol=1e-12, rtol=0)


def test_the_equation_by_hand() -> None:
    case = make(time=6, batch=1, heads=1)
    outputs, end = recurrent(**case)
    q, k, v, b, log, state = (x[0, 0] for x in case.values())
    state = state.T
    for t in range(6):
        erase = torch.eye(5, dtype=torch.float64) - b[t] * torch.outer(k[t], k[t])
        state = log[t].exp() * state @ erase + b[t] * torch.outer(v[t], k[t])
        torch.testing.assert_close(outputs[0, 0, t], state @ q[t])
    torch.testing.assert_close(end[0, 0], state.T)


def test_a_key_written_again_has_its_last_value() -> None:
    case = make(time=8, decay=0.0)
    case["keys"] = case["queries"] = case["keys"][:, :, :1].expand(-1, -1, 8, -1)
    case["beta"] = torch.ones_like(case["beta"])
    outputs, _ = delta_rule(**case)
    torch.testing.assert_close(outputs, case["values"])


@pytest.mark.parametrize("decay", [0.0, 1.0, 100.0, 1e4])
def test_float32_is_close_however_strong_the_decay(decay: float) -> None:
    case = make(time=130, dim=16, out=16, decay=decay)
    # Strong and no decay in turn: differences of sums would lose the small ones.
    case["log_decay"][:, :, ::3] *= 1e-6
    expected = differentiate(recurrent, case)
    found = differentiate(chunked, {name: x.float() for name, x in case.items()}, chunk_size=64)
    assert all(torch.isfinite(x).all() for x in found.values())
    assert_same({name: x.double() for name, x in found.items()}, expected, 1e-3)


def test_states_are_float32_inside_autocast() -> None:
    case = {name: x.float() for name, x in make().items()}
    half = case | {name: case[name].bfloat16() for name in ("queries", "keys", "values")}
    expected, end = delta_rule(**{name: x.float() for name, x in half.items()})
    with torch.autocast("cpu", dtype=torch.bfloat16):
        for rule in (delta_rule, recurrent):
            outputs, state = rule(**half)
            assert (outputs.dtype, state.dtype) == (torch.bfloat16, torch.float32)
            torch.testing.assert_close(state, end, atol=1e-5, rtol=1e-5)
            torch.testing.assert_close(outputs, expected.bfloat16(), atol=2e-2, rtol=2e-2)


def test_gradients_are_those_of_finite_differences() -> None:
    case = make(time=5, dim=2, out=3, batch=1, heads=1)

    def function(*leaves: Tensor) -> tuple[Tensor, Tensor]:
        return chunked(*leaves, chunk_size=2)

    assert torch.autograd.gradcheck(function, [x.requires_grad_() for x in case.values()])


def test_a_chunk_has_a_token() -> None:
    with pytest.raises(ValueError, match="chunk_size"):
        delta_rule(**make(), chunk_size=0)
