"""The fast memory equals the paper's recurrence, value and gradient, and that equals plain numpy.

Gates and inputs are small, so that the dynamics contract and rounding is not amplified.
"""

from inspect import unwrap
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.memory.cases import (
    BATCH,
    DIM,
    HEADS,
    Memorize,
    assert_true,
    call,
    differentiate,
    make,
)
from tests.tensors import assert_same
from titans.memory import GELU, MemoryNetwork, MemoryState, memorize, memorize_reference

CAMERA_READY = MemoryNetwork(residual=True, normalise=True, activation=GELU)


@pytest.mark.parametrize("chunk_size", [1, 2, 16, 64])
@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_equals_the_reference(depth: int, chunk_size: int) -> None:
    assert_true(make(depth=depth), chunk_size=chunk_size)


@pytest.mark.parametrize("chunk_size", [1, 16, 64])
@pytest.mark.parametrize("time", [1, 5, 64, 70])
def test_any_time(time: int, chunk_size: int) -> None:
    assert_true(make(time=time), chunk_size=chunk_size)


@pytest.mark.parametrize("function", [memorize, memorize_reference])
def test_no_time_leaves_the_state(function: Memorize) -> None:
    case = make(time=0)
    results = call(function, case, chunk_size=4)
    assert results.pop("outputs").shape == (BATCH, HEADS, 0, DIM)
    for name, after in results.items():
        assert torch.equal(after, case[name])
    assert_true(case, chunk_size=4)


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("clip", [None, 0.2, 100.0])
@pytest.mark.parametrize("depth", [1, 3])
def test_residual_and_clip(depth: int, clip: float | None, residual: bool) -> None:
    assert_true(make(depth=depth, time=21), chunk_size=8, residual=residual, clip=clip)


@pytest.mark.parametrize("function", [memorize, memorize_reference])
def test_clip_acts_only_where_it_binds(function: Memorize) -> None:
    case = make(time=21)
    free, loose, tight = (call(function, case, chunk_size=8, clip=c) for c in (None, 100.0, 0.2))
    assert_same(loose, free, 1e-12)
    assert (tight["outputs"] - free["outputs"]).abs().max() > 1e-2


@pytest.mark.parametrize("function", [memorize, memorize_reference])
def test_clip_bounds_the_gradient_of_each_token_and_layer(function: Memorize) -> None:
    case = make(time=1, step=1.0, momentum=0.0)
    results = call(function, case, chunk_size=1, clip=0.2)
    for layer in (0, 1):
        norms = torch.linalg.matrix_norm(results[f"surprise{layer}"])
        torch.testing.assert_close(norms, torch.full_like(norms, 0.2))


@pytest.mark.parametrize("function", [memorize, memorize_reference])
def test_a_perfect_memory_with_clip_has_finite_gradients(function: Memorize) -> None:
    case = make(time=6, depth=1)
    case["values"] = case["keys"] @ case["weights0"].mT
    results = differentiate(function, case, chunk_size=6, clip=1.0)
    assert all(torch.isfinite(x).all() for x in results.values())


@pytest.mark.parametrize("chunk_size", [1, 8])
@pytest.mark.parametrize("clip", [None, 0.2])
def test_the_network_of_the_camera_ready(clip: float | None, chunk_size: int) -> None:
    assert_true(make(time=21), chunk_size=chunk_size, clip=clip, network=CAMERA_READY)


@pytest.mark.parametrize("function", [memorize, memorize_reference])
@pytest.mark.parametrize("chunk_size", [1, 3])
def test_a_matrix_memory_by_hand(function: Memorize, chunk_size: int) -> None:
    case = make(time=10, depth=1)
    found = call(function, case, chunk_size=chunk_size)
    q, k, v, alpha, eta, theta, first, past = (x.numpy() for x in case.values())
    for b in range(BATCH):
        for h in range(HEADS):
            w, s = first[b, h].copy(), past[b, h].copy()
            for t in range(10):
                if t % chunk_size == 0:
                    anchor = w.copy()
                gradient = 2 * np.outer(anchor @ k[b, h, t] - v[b, h, t], k[b, h, t])
                s = eta[b, h, t] * s - theta[b, h, t] * gradient
                w = (1 - alpha[b, h, t]) * w + s
                np.testing.assert_allclose(found["outputs"][b, h, t], w @ q[b, h, t], atol=1e-12)
            np.testing.assert_allclose(found["weights0"][b, h], w, atol=1e-12)
            np.testing.assert_allclose(found["surprise0"][b, h], s, atol=1e-12)


@pytest.mark.parametrize("function", [memorize, memorize_reference])
def test_a_sequence_cut_between_chunks_is_the_sequence(function: Memorize) -> None:
    case = make(time=37)
    outputs, state = [], {k: v for k, v in case.items() if k.startswith(("weights", "surprise"))}
    for start, stop in pairwise((0, 8, 8, 24, 37)):
        piece = {k: v if k in state else v[:, :, start:stop] for k, v in case.items()} | state
        after = call(function, piece, chunk_size=8)
        outputs.append(after.pop("outputs"))
        state = after
    whole = call(function, case, chunk_size=8)
    assert_same({"outputs": torch.cat(outputs, dim=2)} | state, whole, 1e-12)


@pytest.mark.parametrize("depth", [1, 3])
def test_float32_is_close(depth: int) -> None:
    case = make(time=70, depth=depth)
    expected = differentiate(memorize_reference, case, chunk_size=16, clip=1.0)
    single = {name: x.float() for name, x in case.items()}
    found = differentiate(memorize, single, chunk_size=16, clip=1.0)
    assert all(x.dtype == torch.float32 for x in found.values())
    assert_same({name: x.double() for name, x in found.items()}, expected, 1e-4)


def test_much_forgetting_in_float32_does_not_underflow() -> None:
    case = make(time=512, depth=2, heads=1, forget=0.9)
    expected = differentiate(memorize, case, chunk_size=64)
    found = differentiate(memorize, {n: x.float() for n, x in case.items()}, chunk_size=64)
    assert_same({name: x.double() for name, x in found.items()}, expected, 1e-4)


@pytest.mark.parametrize("clip", [None, 0.2])
def test_gradients_are_those_of_finite_differences(clip: float | None) -> None:
    case = make(time=3, depth=2, batch=1, heads=1, dim=2, hidden=3)

    def function(*leaves: Tensor) -> tuple[Tensor, ...]:
        named = dict(zip(case, leaves, strict=True))
        return tuple(call(memorize, named, chunk_size=2, clip=clip).values())

    assert torch.autograd.gradcheck(function, [x.requires_grad_() for x in case.values()])


@settings(max_examples=15)
@given(data=st.data())
def test_any_shape_gates_and_split(data: st.DataObject) -> None:
    draw = lambda low, high: data.draw(st.integers(low, high))  # noqa: E731
    depth, time, chunk_size = draw(1, 3), draw(0, 20), draw(1, 9)
    case = make(
        time=time,
        depth=depth,
        batch=draw(1, 2),
        heads=draw(1, 2),
        dim=draw(2, 5),
        hidden=draw(1, 6),
        layers=depth * draw(0, 1),
        seed=draw(0, 99),
    )
    more = {
        "chunk_size": chunk_size,
        "residual": bool(draw(0, 1)),
        "clip": data.draw(st.sampled_from([None, 0.2])),
    }
    assert_true(case, **more)
    cut = min(time, chunk_size * draw(0, 3))
    first = {k: v if k[-1].isdigit() else v[:, :, :cut] for k, v in case.items()}
    head = call(memorize, first, **more)
    second = {k: head[k] if k[-1].isdigit() else v[:, :, cut:] for k, v in case.items()}
    tail = call(memorize, second, **more)
    joined = torch.cat([head["outputs"], tail["outputs"]], dim=2)
    assert_same(tail | {"outputs": joined}, call(memorize, case, **more), 1e-11)


@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("function", [memorize, memorize_reference])
def test_values_may_be_wider_than_keys(function: Memorize, depth: int) -> None:
    case = make(time=9, depth=depth)
    last, width = depth - 1, DIM + 3
    for name in (f"weights{last}", f"surprise{last}"):
        case[name] = torch.cat([case[name], case[name][:, :, :3]], dim=2)
    case["values"] = torch.cat([case["values"], case["values"][..., :3]], dim=-1)
    outputs = call(function, case, chunk_size=4)["outputs"]
    assert outputs.shape == (BATCH, HEADS, 9, width)
    torch.testing.assert_close(outputs[..., :3], outputs[..., -3:])


@pytest.mark.parametrize("chunk_size", [0, -1])
@pytest.mark.parametrize("function", [memorize, memorize_reference])
def test_a_chunk_has_a_token(function: Memorize, chunk_size: int) -> None:
    with pytest.raises(ValueError, match="chunk_size"):
        call(function, make(time=3), chunk_size=chunk_size)


@pytest.mark.parametrize("function", [memorize, memorize_reference])
def test_a_bound_is_not_below_zero(function: Memorize) -> None:
    with pytest.raises(ValueError, match="clip=-1"):
        call(function, make(time=3), chunk_size=4, clip=-1.0)


@pytest.mark.parametrize(
    ("change", "blamed"),
    [
        ({"queries": (2, 2, 8, 5)}, "queries"),
        ({"keys": (2, 2, 7, 6)}, "queries"),
        ({"values": (1, 2, 8, 6)}, "queries"),
        ({"queries": (2, 2, 9, 6)}, "queries"),
        ({"momentum": (2, 1, 8)}, "gates"),
        ({"state": (1, 2)}, "state's weights"),
        ({"state": (4, 2)}, "state's weights"),
    ],
    ids=str,
)
@pytest.mark.parametrize("function", [memorize, memorize_reference])
def test_what_does_not_belong_together_is_refused(
    function: Memorize, change: dict[str, tuple[int, ...]], blamed: str
) -> None:
    shapes = dict.fromkeys(("queries", "keys", "values"), (2, 2, 8, 6))
    shapes |= dict.fromkeys(("forget", "momentum", "step"), (2, 2, 8))
    heads = change.get("state", (2, 2))
    state = MemoryState(*((torch.zeros(*heads, 6, 6),) for _ in "WS"))
    tensors = {n: torch.zeros(s) for n, s in (shapes | change).items() if n != "state"}
    # As it is outside of the tests, where nothing reads the annotations.
    with pytest.raises(ValueError, match=blamed):
        unwrap(function)(**tensors, state=state, chunk_size=4)
