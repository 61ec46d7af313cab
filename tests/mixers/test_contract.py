"""What every mixer promises, whatever model it is in."""

from collections.abc import Callable, Iterator
from copy import deepcopy
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from titans import mixers
from titans.memory import NeuralMemory
from titans.mixers import Mixer

DIM, CHUNK, SEGMENT = 16, 4, 8
MEMORY = partial(NeuralMemory, heads=2, chunk_size=CHUNK)
SETTINGS: dict[str, dict[str, Any]] = {
    # More taps than there are whole numbers in bfloat16, next to each other.
    "Hyena": {"length": 600},
    "LMM": {"memory": MEMORY},
    "MAC": {"memory": MEMORY, "heads": 2, "segment": SEGMENT},
    "MAG": {"memory": MEMORY, "heads": 2, "window": 6},
    "MAL": {"memory": MEMORY, "heads": 2, "window": 6},
    "Mamba": {"state": 4},
    "Mamba2": {"state": 4, "head_dim": 8},
    "TTT": {"heads": 2, "chunk_size": CHUNK},
}
MAKERS: dict[str, Callable[[], Mixer]] = {
    name: partial(getattr(mixers, name), DIM, **SETTINGS.get(name, {"heads": 2}))
    for name in mixers.__all__
    if name != "Mixer"
}
# A state may be cut from what a convolution has copied, or from what nothing has.
MAKERS |= {
    f"{name} without convolution": partial(MAKERS[name], convolution=0)
    for name in ("Attention", "MAC", "MAG", "TTT")
}
MAKERS["Attention in a window"] = partial(MAKERS["Attention"], window=6)


@pytest.fixture(params=MAKERS)
def mixer(request: pytest.FixtureRequest) -> Mixer:
    torch.manual_seed(0)
    return MAKERS[request.param]()


def inputs(time: int, batch: int = 2) -> Tensor:
    return torch.randn(batch, time, DIM, generator=torch.Generator().manual_seed(1))


def tensors(state: Any) -> Iterator[Tensor]:
    if isinstance(state, Tensor):
        yield state
    elif state is not None:
        for part in state:
            yield from tensors(part)


@torch.no_grad()
@pytest.mark.parametrize("more", [0, 1, CHUNK + 1])
def test_a_state_keeps_nothing_else_alive(mixer: Mixer, more: int) -> None:
    """After a long piece, at a border of segments and beyond it, and after a token more."""
    state = None
    for time in (8 * SEGMENT + more, 1):
        _, state = mixer(inputs(time), state)
        stored = {t.untyped_storage().data_ptr(): t.untyped_storage() for t in tensors(state)}
        kept = sum(storage.nbytes() for storage in stored.values())
        assert kept <= sum(t.nbytes for t in tensors(state))


@torch.no_grad()
def test_weights_in_bfloat16_are_almost_themselves_in_float32(mixer: Mixer) -> None:
    low = mixer.bfloat16()
    exact, x = deepcopy(low).float(), inputs(300).bfloat16()
    found, expected = low(x)[0], exact(x.float())[0]
    assert found.dtype == torch.bfloat16
    assert (found.float() - expected).norm() < 0.03 * expected.norm()


@pytest.mark.filterwarnings("ignore:var_mean")
def test_no_sequence_is_an_empty_batch(mixer: Mixer) -> None:
    x = inputs(20, batch=0).requires_grad_()
    y, state = mixer(x)
    again, _ = mixer(x[:, :3], state)
    assert (y.shape, again.shape) == (x.shape, (0, 3, DIM))
    (y.sum() + again.sum()).backward()
    assert all(p.grad is None or p.grad.eq(0).all() for p in mixer.parameters())
