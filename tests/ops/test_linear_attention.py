"""Linear attention in chunks equals the recurrence, value and gradient, whatever the decay."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests import tensors
from titans.ops import linear_attention as ops
from titans.ops.linear_attention import chunked, linear_attention, recurrent

Case = list[Tensor]
BATCH, HEADS, DIM, OUT = 2, 4, 3, 5


def make(
    *,
    time: int = 37,
    heads: int = HEADS,
    groups: int = HEADS,
    dim: int = DIM,
    out: int = OUT,
    channels: bool = False,
    strongest: float = 1.0,
    seed: int = 0,
) -> Case:
    """Random arguments in float64: queries, keys, values, log decay and state."""
    generator = torch.Generator().manual_seed(seed)
    normal = partial(torch.randn, generator=generator, dtype=torch.float64)
    shape = (BATCH, heads, time, dim) if channels else (BATCH, heads, time)
    decay = -strongest * torch.rand(shape, generator=generator, dtype=torch.float64)
    sequences = [normal(BATCH, n, time, d) for n, d in ((groups, dim), (groups, dim), (heads, out))]
    return [*sequences, decay, normal(BATCH, heads, dim, out)]


def differentiate(function: Callable[..., tuple[Tensor, Tensor]], case: Case) -> dict[str, Tensor]:
    return tensors.differentiate(
        lambda **leaves: dict(zip(("outputs", "last"), function(*leaves.values()), strict=True)),
        {str(number): x for number, x in enumerate(case)},
    )


def check(case: Case, chunk_size: int) -> None:
    found = differentiate(partial(chunked, chunk_size=chunk_size), case)
    expected = differentiate(recurrent, case)
    torch.testing.assert_close(found, expected, atol=1e-11, rtol=1e-11)


@pytest.mark.parametrize("channels", [False, True])
@pytest.mark.parametrize("time", [1, 2, 16, 37])
@pytest.mark.parametrize("chunk_size", [1, 2, 5, 16, 64])
def test_chunks_are_the_recurrence(time: int, chunk_size: int, channels: bool) -> None:
    check(make(time=time, channels=channels), chunk_size)


@settings(max_examples=40)
@given(
    time=st.integers(1, 50),
    chunk_size=st.integers(1, 40),
    groups=st.integers(1, 3),
    share=st.integers(1, 3),
    dim=st.integers(1, 6),
    out=st.integers(1, 6),
    channels=st.booleans(),
    strongest=st.sampled_from([0.0, 1e-3, 1.0, 30.0]),
    seed=st.integers(0, 99),
)
def test_any_shape(
    time: int,
    chunk_size: int,
    groups: int,
    share: int,
    dim: int,
    out: int,
    channels: bool,
    strongest: float,
    seed: int,
) -> None:
    case = make(
        time=time,
        heads=groups * share,
        groups=groups,
        dim=dim,
        out=out,
        channels=channels,
        strongest=strongest,
        seed=seed,
    )
    check(case, chunk_size)


@pytest.mark.parametrize("channels", [False, True])
@pytest.mark.parametrize("function", [recurrent, chunked, linear_attention])
def test_the_state_continues_a_sequence(
    function: Callable[..., tuple[Tensor, Tensor]], channels: bool
) -> None:
    *sequences, state = make(time=29, channels=channels)
    whole, end = function(*sequences, state)
    pieces = []
    for piece in zip(*(x.split([0, 7, 1, 0, 16, 5], dim=2) for x in sequences), strict=True):
        outputs, state = function(*piece, state)
        pieces.append(outputs)
    torch.testing.assert_close(torch.cat(pieces, dim=2), whole)
    torch.testing.assert_close(state, end)


@pytest.mark.parametrize("function", [recurrent, chunked])
def test_no_state_is_a_state_of_zeros(function: Callable[..., tuple[Tensor, Tensor]]) -> None:
    for time in (0, 9):
        *sequences, state = make(time=time)
        found, expected = function(*sequences), function(*sequences, torch.zeros_like(state))
        torch.testing.assert_close(found, expected, atol=0, rtol=0)


@pytest.mark.parametrize("channels", [False, True])
@pytest.mark.parametrize("function", [recurrent, chunked])
def test_one_decay_serves_the_whole_batch(
    function: Callable[..., tuple[Tensor, Tensor]], channels: bool
) -> None:
    *sequences, decay, state = make(channels=channels)
    found = function(*sequences, decay[:1], state)
    expected = function(*sequences, decay[:1].expand_as(decay), state)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("channels", [False, True])
@pytest.mark.parametrize(
    "pattern",
    [[0.0], [-20.0], [-20.0] * 31 + [0.0] * 33, [0.0, -200.0], [-1e4, -1e-4], [float("-inf"), 0.0]],
    ids=["none", "strong", "strong, then none", "by turns", "extremes", "forgets all"],
)
def test_no_decay_is_too_strong_for_float32(pattern: list[float], channels: bool) -> None:
    *sequences, decay, state = make(time=150, channels=channels)
    logs = torch.tensor(pattern, dtype=torch.float64).repeat(150)[:150]
    decay = (logs[:, None] if channels else logs).expand_as(decay)
    exact = differentiate(recurrent, [*sequences, decay, state])
    single = [x.float() for x in (*sequences, decay, state)]
    found = differentiate(partial(chunked, chunk_size=64), single)
    for name, truth in exact.items():
        scale = truth.abs().max().item() or 1.0
        torch.testing.assert_close(found[name].double() / scale, truth / scale, atol=3e-6, rtol=0)


@pytest.mark.parametrize("channels", [False, True])
def test_autocast_leaves_the_state_in_float32(channels: bool) -> None:
    case = [x.float() for x in make(channels=channels)]
    expected = chunked(*case)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(chunked(*case), expected, atol=0, rtol=0)
        low = [x.bfloat16() for x in case[:3]]
        outputs, state = chunked(*low, *case[3:])
    assert outputs.dtype == torch.bfloat16
    assert state.dtype == torch.float32
    torch.testing.assert_close(state, expected[1], atol=0.2, rtol=0.02)


def test_a_chunk_needs_a_token() -> None:
    with pytest.raises(ValueError, match="chunk_size=0"):
        chunked(*make(), chunk_size=0)


def test_kernels_are_not_asked_for_what_they_lack(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ops, "wanted", lambda x: True)
    for case in (make(), [x.float() for x in make(time=0)]):
        torch.testing.assert_close(linear_attention(*case), chunked(*case), atol=0, rtol=0)
