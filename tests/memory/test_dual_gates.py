"""The gates of the fast memory: one a token, one a layer, one a channel, and at their ends."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.memory.cases import (
    BATCH,
    DIM,
    HEADS,
    HIDDEN,
    Memorize,
    assert_true,
    call,
    differentiate,
    make,
)
from tests.tensors import assert_same
from titans.memory import memorize, memorize_reference


@pytest.mark.parametrize("depth", [1, 2, 4])
@pytest.mark.parametrize("clip", [None, 0.2])
def test_gates_per_layer(depth: int, clip: float | None) -> None:
    assert_true(make(depth=depth, layers=depth), chunk_size=16, clip=clip)


def test_gates_per_layer_that_agree_are_one_gate() -> None:
    case = make(depth=3)
    each = dict(case)
    for name in ("forget", "momentum", "step"):
        each[name] = case[name][..., None].expand(-1, -1, -1, 3)
    assert_same(call(memorize, each, chunk_size=8), call(memorize, case, chunk_size=8), 1e-12)


def test_only_one_gate_per_layer() -> None:
    case = make(depth=3)
    case["forget"] = make(depth=3, layers=3)["forget"]
    assert_true(case, chunk_size=16)


@pytest.mark.parametrize("chunk_size", [1, 16])
@pytest.mark.parametrize(
    "gates",
    [
        {"forget": 0.0},
        {"momentum": 0.0},
        {"step": 0.0},
        {"forget": 0.0, "momentum": 0.0},
        {"forget": 0.0, "momentum": 0.0, "step": 0.0},
        {"forget": 0.999},
        {"momentum": 0.999, "step": 1e-3},
        {"forget": 0.999, "momentum": 0.999, "step": 1e-3},
        {"forget": 1.0},
        {"forget": 1.0, "momentum": 1.0, "step": 1e-3},
    ],
    ids=str,
)
def test_gates_at_their_ends(gates: dict[str, float], chunk_size: int) -> None:
    assert_true(make(time=35, **gates), chunk_size=chunk_size)


def test_gates_that_are_zero_now_and_then() -> None:
    case = make(time=35)
    for index, name in enumerate(("forget", "momentum", "step")):
        case[name][:, :, index :: 2 + index] = 0
    assert_true(case, chunk_size=16)


# Next to 1 as near as a sigmoid in float32 comes before it is 1, and in between.
SHARES = st.lists(st.sampled_from([0.0, 1e-12, 0.5, 0.99, 1 - 2**-24, 1.0]), min_size=1, max_size=3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_what_forgets_all_goes_on_with_what_it_then_writes(dtype: torch.dtype) -> None:
    case = make(time=35)
    case["forget"][:, :, ::5] = 1
    expected = differentiate(memorize_reference, case, chunk_size=16)
    found = differentiate(memorize, {n: x.to(dtype) for n, x in case.items()}, chunk_size=16)
    error = 1e-10 if dtype == torch.float64 else 1e-4
    assert_same({n: x.double() for n, x in found.items()}, expected, error)


@settings(max_examples=30)
@given(data=st.data(), forget=SHARES, momentum=SHARES, seed=st.integers(0, 99))
def test_any_gates_in_any_turn(
    data: st.DataObject, forget: list[float], momentum: list[float], seed: int
) -> None:
    """Large steps, with a bound on surprises, over two chunks: more of them amplify rounding."""
    chunk_size, depth = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 3))
    case = make(
        time=data.draw(st.integers(1, 2 * chunk_size)),
        depth=depth,
        layers=depth * data.draw(st.integers(0, 1)),
        seed=seed,
    )
    steps = data.draw(st.lists(st.sampled_from([0.0, 1e-9, 1.0, 100.0]), min_size=1, max_size=3))
    generator = torch.Generator().manual_seed(seed)
    for name, values in (("forget", forget), ("momentum", momentum), ("step", steps)):
        chosen = torch.randint(len(values), case[name].shape, generator=generator)
        case[name] = torch.tensor(values, dtype=torch.float64)[chosen]
    more = {"chunk_size": chunk_size, "clip": 0.2}
    expected = differentiate(memorize_reference, case, **more)
    largest = {name: max(1.0, float(x.abs().max())) for name, x in expected.items() if x.numel()}
    found = differentiate(memorize, case, **more)
    for name, size in largest.items():
        assert_same({name: found[name] / size}, {name: expected[name] / size}, 1e-10)


@pytest.mark.parametrize("chunk_size", [1, 4])
def test_forgetting_by_channel_with_equal_channels_is_one_gate(chunk_size: int) -> None:
    case = make(time=9)
    by_channel = case | {
        "forget": tuple(case["forget"][..., None].expand(-1, -1, -1, n) for n in (HIDDEN, DIM))
    }
    expected = call(memorize_reference, case, chunk_size=chunk_size)
    assert_same(call(memorize_reference, by_channel, chunk_size=chunk_size), expected, 1e-12)


def test_forgetting_by_channel_forgets_that_channel() -> None:
    case = make(time=1, step=0.0, momentum=0.0)
    forget = [torch.zeros(BATCH, HEADS, 1, n, dtype=torch.float64) for n in (HIDDEN, DIM)]
    forget[1][..., 2] = 0.5
    after = call(memorize_reference, case | {"forget": tuple(forget)}, chunk_size=1)
    expected = case["weights1"].clone()
    expected[:, :, 2] *= 0.5
    torch.testing.assert_close(after["weights0"], case["weights0"])
    torch.testing.assert_close(after["weights1"], expected)


@pytest.mark.parametrize("gates", [1, 3])
@pytest.mark.parametrize("function", [memorize, memorize_reference])
def test_as_many_gates_as_layers(function: Memorize, gates: int) -> None:
    with pytest.raises(ValueError, match="gates"):
        call(function, make(depth=2, layers=gates), chunk_size=4)


def test_gates_by_channel_are_of_as_many_tokens() -> None:
    case = make(time=9)
    forget = tuple(torch.zeros(BATCH, HEADS, 8, n, dtype=torch.float64) for n in (HIDDEN, DIM))
    with pytest.raises(ValueError, match="as many tokens"):
        call(memorize_reference, case | {"forget": forget}, chunk_size=4)
