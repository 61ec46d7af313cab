"""Linear attention equals the slow forms of flash-linear-attention, where that is installed."""

import inspect
import warnings
from typing import Any

import pytest
import torch
from torch import Tensor

from titans.mixers.retention import log_retention
from titans.ops import linear_attention as ours

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    pytest.importorskip("fla")
    gla = pytest.importorskip("fla.ops.gla")
    simple_gla = pytest.importorskip("fla.ops.simple_gla")
    from fla.ops.gla.naive import naive_recurrent_gla
    from fla.ops.hgrn.naive import naive_recurrent_hgrn
    from fla.ops.retention.naive import naive_retention
    from fla.ops.simple_gla.naive import naive_chunk_simple_gla, naive_recurrent_simple_gla

BATCH, HEADS, TIME, DIM, OUT = 2, 3, 70, 8, 5
FORMS = [ours.recurrent, ours.chunked]
# Theirs compute in float32.
close = {"atol": 2e-5, "rtol": 1e-4}


def arguments(channels: bool) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    widths = (DIM, DIM, OUT)
    sequences = [torch.randn(BATCH, HEADS, TIME, d, generator=generator) for d in widths]
    shape = (BATCH, HEADS, TIME, DIM) if channels else (BATCH, HEADS, TIME)
    decay = -torch.rand(shape, generator=generator)
    return [*sequences, decay, torch.randn(BATCH, HEADS, DIM, OUT, generator=generator)]


def turn(*tensors: Tensor) -> list[Tensor]:
    """Between `[batch, heads, time, ...]` and `[batch, time, heads, ...]`."""
    return [x.transpose(1, 2) for x in tensors]


@pytest.mark.parametrize("form", FORMS)
def test_gla(form: Any) -> None:
    q, *rest, state = arguments(channels=True)
    expected, end = naive_recurrent_gla(*turn(q * DIM**0.5, *rest), state.clone(), True)
    torch.testing.assert_close(form(q, *rest, state), (*turn(expected), end), **close)


@pytest.mark.parametrize("theirs", [naive_recurrent_simple_gla, naive_chunk_simple_gla])
@pytest.mark.parametrize("form", FORMS)
def test_simple_gla(form: Any, theirs: Any) -> None:
    *sequences, state = arguments(channels=False)
    expected, end = theirs(
        *turn(*sequences), scale=1.0, initial_state=state.clone(), output_final_state=True
    )
    torch.testing.assert_close(form(*sequences, state), (*turn(expected), end), **close)


@pytest.mark.parametrize("form", FORMS)
def test_retention(form: Any) -> None:
    q, k, v, _, _ = arguments(channels=False)
    decay = log_retention(HEADS, q).expand(BATCH, -1, TIME)
    found, _ = form(q * DIM**-0.5, k, v, decay)
    torch.testing.assert_close(found, naive_retention(q, k, v), **close)


@pytest.mark.parametrize("form", FORMS)
def test_hgrn_is_a_state_of_one_column(form: Any) -> None:
    _, _, _, decay, _ = arguments(channels=True)
    x, gate = torch.randn(BATCH, TIME, DIM), decay[:, 0]
    expected, end = naive_recurrent_hgrn(x, gate, output_final_state=True)
    # One head for each channel, with keys and queries of one channel that is 1.
    one = torch.ones(BATCH, DIM, TIME, 1)
    found, state = form(one, one, x.mT[..., None], gate.mT[..., None])
    torch.testing.assert_close(found[..., 0].mT, expected, **close)
    torch.testing.assert_close(state[..., 0, 0], end, **close)


def unscaled_gla(q: Tensor, k: Tensor, v: Tensor, g: Tensor, scale: float, **rest: Any) -> Any:
    return naive_recurrent_gla(q * scale * q.shape[-1] ** 0.5, k, v, g, **rest)


@pytest.mark.parametrize("channels", [False, True])
def test_kernels_are_called_as_they_are_laid_out(
    monkeypatch: pytest.MonkeyPatch, channels: bool
) -> None:
    """Their slow forms in the place of their kernels, which need a GPU."""
    module, name, slow = (
        (gla, "chunk_gla", unscaled_gla)
        if channels
        else (simple_gla, "chunk_simple_gla", naive_recurrent_simple_gla)
    )
    kernel = inspect.signature(getattr(module, name)).parameters
    assert list(kernel)[:4] == ["q", "k", "v", "g"]
    assert {"scale", "initial_state", "output_final_state"} <= set(kernel)
    monkeypatch.setattr(module, name, slow)
    monkeypatch.setattr(ours, "wanted", lambda x: True)
    q, k, v, decay, state = arguments(channels)
    case = [q[:, :1], k[:, :1], v, decay[:1], state]
    torch.testing.assert_close(ours.linear_attention(*case), ours.chunked(*case), **close)
