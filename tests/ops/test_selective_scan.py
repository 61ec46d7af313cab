"""The chunked selective scan equals the recurrence, value and gradient, and that the equations."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests import tensors
from tests.tensors import assert_same
from titans.ops.selective_scan import chunked, recurrent

BATCH, CHANNELS, STATE = 2, 5, 3
NAMES = ("x", "dt", "A", "B", "C", "D", "state")
Scan = Callable[..., tuple[Tensor, Tensor]]


def make(time: int = 70, *, strength: float = 1.0, dtype: torch.dtype = torch.float64) -> Any:
    """Arguments by name; `strength` multiplies the rates of decay."""
    normal = partial(torch.randn, dtype=dtype, generator=torch.Generator().manual_seed(0))
    return {
        "x": normal(BATCH, time, CHANNELS),
        "dt": F.softplus(normal(BATCH, time, CHANNELS) - 1),
        "A": -strength * normal(CHANNELS, STATE).exp(),
        "B": normal(BATCH, time, STATE),
        "C": normal(BATCH, time, STATE),
        "D": normal(CHANNELS),
        "state": normal(BATCH, CHANNELS, STATE),
    }


def differentiate(scan: Scan, case: dict[str, Tensor], **more: Any) -> dict[str, Tensor]:
    return tensors.differentiate(
        lambda **leaves: dict(zip(("outputs", "last"), scan(**leaves, **more), strict=True)), case
    )


def test_the_recurrence_is_the_equations() -> None:
    case = make(4)
    x, dt, A, B, C, D, state = (case[name] for name in NAMES)
    outputs, last = recurrent(**case)
    for b in range(BATCH):
        for c in range(CHANNELS):
            h = state[b, c].clone()
            for t in range(4):
                h = torch.exp(dt[b, t, c] * A[c]) * h + dt[b, t, c] * B[b, t] * x[b, t, c]
                y = C[b, t] @ h + D[c] * x[b, t, c]
                torch.testing.assert_close(outputs[b, t, c], y)
            torch.testing.assert_close(last[b, c], h)


@pytest.mark.parametrize(("chunk_size", "lanes"), [(16, 1), (4, 5), (128, 2), (32, None)])
@pytest.mark.parametrize("time", [0, 1, 15, 16, 17, 70])
def test_lanes_equal_the_recurrence(time: int, chunk_size: int, lanes: int | None) -> None:
    case = make(time)
    found = differentiate(chunked, case, chunk_size=chunk_size, lanes=lanes)
    assert_same(found, differentiate(recurrent, case), 1e-10)


def test_begins_at_zero() -> None:
    case = make()
    zero = case | {"state": torch.zeros_like(case.pop("state"))}
    assert_same(
        dict(zip("yh", chunked(**case), strict=True)),
        dict(zip("yh", recurrent(**zero), strict=True)),
        1e-12,
    )


@pytest.mark.parametrize("strength", [1e-4, 1e2, 1e4])
def test_slow_and_strong_decays_in_float32(strength: float) -> None:
    case = make(strength=strength)
    found = differentiate(chunked, {name: x.float() for name, x in case.items()})
    assert all(torch.isfinite(x).all() for x in found.values())
    expected = {n: x.float() for n, x in differentiate(recurrent, case).items()}
    assert_same(found, expected, 2e-4)


@pytest.mark.parametrize("scan", [recurrent, chunked])
def test_states_are_precise_under_autocast(scan: Scan) -> None:
    case = make(40, dtype=torch.float32)
    low = case | {name: case[name].bfloat16() for name in ("x", "dt", "B", "C")}
    with torch.autocast("cpu", dtype=torch.bfloat16):
        outputs, state = scan(**low)
    expected, last = recurrent(**{name: x.float() for name, x in low.items()})
    assert (outputs.dtype, state.dtype) == (torch.bfloat16, torch.float32)
    torch.testing.assert_close(state, last, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(outputs, expected.bfloat16(), atol=1e-2, rtol=1e-2)


@pytest.mark.parametrize("wrong", [{"chunk_size": 0}, {"lanes": 0}])
def test_no_lane_and_no_token_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="1 or more"):
        chunked(**make(), **wrong)


def test_the_last_state_does_not_keep_the_others() -> None:
    _, state = chunked(**make(160), lanes=5)
    assert state.untyped_storage().nbytes() == state.nbytes
