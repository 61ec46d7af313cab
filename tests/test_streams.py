"""A stream cut anywhere is the whole, whatever its chunks, segments and windows are."""

from collections.abc import Callable
from functools import partial

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from titans.memory import Gates, NeuralMemory
from titans.mixers import LMM, MAC, MAG, MAL

DIM = 4


@st.composite
def mixers(draw: Callable[..., int]) -> nn.Module:
    """One of the mixers with a memory, in float64."""
    depth, chunk = draw(st.integers(1, 3)), draw(st.integers(1, 6))
    memory = partial(
        NeuralMemory,
        heads=draw(st.sampled_from([1, 2])),
        depth=depth,
        chunk_size=chunk,
        convolution=draw(st.integers(0, 4)),
        gates=partial(Gates, layers=draw(st.sampled_from([1, depth]))),
    )
    more = {"memory": memory, "persistent": draw(st.integers(0, 3))}
    window = draw(st.integers(1, 9))
    torch.manual_seed(draw(st.integers(0, 99)))
    made: nn.Module = draw(
        st.sampled_from(
            [
                partial(LMM, DIM, **more),
                partial(MAC, DIM, heads=2, segment=chunk * draw(st.integers(1, 3)), **more),
                partial(MAG, DIM, heads=2, window=window, **more),
                partial(MAL, DIM, heads=2, window=window, **more),
            ]
        )
    )()
    # As trained: what begins at zero would hide what is behind it.
    for parameter in made.parameters():
        nn.init.normal_(parameter, std=0.5)
    return made.double()


@settings(max_examples=40)
@given(mixer=mixers(), time=st.integers(1, 25), cuts=st.lists(st.integers(0, 25), max_size=8))
def test_any_pieces_are_the_whole(mixer: nn.Module, time: int, cuts: list[int]) -> None:
    x = torch.randn(2, time, DIM, dtype=torch.float64)
    with torch.no_grad():
        whole, _ = mixer(x)
        pieces, state = [], None
        for piece in x.tensor_split(sorted(min(cut, time) for cut in cuts), dim=1):
            y, state = mixer(piece, state)
            pieces.append(y)
    torch.testing.assert_close(torch.cat(pieces, dim=1), whole, atol=1e-10, rtol=0)
