"""Nothing runs away: repeated tokens, long sequences, deep memories, many steps of training.

A repeated token is the hard case: all gradients of a chunk are taken at one point and agree, so
that together they step too far.
"""

from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from titans.memory import NeuralMemory
from titans.mixers import LMM
from titans.models import Backbone, LanguageModel

VOCABULARY, DIM = 32, 16
# Growth in proportion to the tokens read would pass it, in 8 pieces and in training.
GROWTH = 4.0


def make(depth: int) -> tuple[LanguageModel, NeuralMemory]:
    """A model of one layer, and the memory in it."""
    torch.manual_seed(0)
    memory = partial(NeuralMemory, heads=2, depth=depth, chunk_size=64)
    mixers = {"lmm": partial(LMM, DIM, memory=memory)}
    model = LanguageModel(VOCABULARY, Backbone(DIM, 1, mixers))
    (layer,) = (m for m in model.modules() if isinstance(m, NeuralMemory))
    return model, layer


def batch(time: int, step: int) -> Tensor:
    """A random sequence, one token over and over, and one that turns from the one to the other."""
    generator = torch.Generator().manual_seed(step)
    noise = torch.randint(VOCABULARY, (time + 1,), generator=generator)
    constant = noise[:1].expand(time + 1)
    return torch.stack([noise, constant, torch.cat([noise[: time // 2], constant[time // 2 :]])])


def train(depth: int, time: int, steps: int) -> tuple[LanguageModel, NeuralMemory, list[float]]:
    """The model trained on one kind after the other, its memory, and its norm after each step."""
    model, memory = make(depth)
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3, betas=(0.9, 0.95), weight_decay=0.1)
    norms = []
    for step in range(steps):
        tokens = batch(time, step)[step % 3][None]
        logits, _ = model(tokens[:, :-1])
        loss = F.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())
        assert torch.isfinite(loss), f"the loss is {loss.item()} at step {step}"
        optimizer.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        assert torch.isfinite(norm), f"the gradient is {norm.item()} at step {step}"
        optimizer.step()
        norms.append(memory.log["memory_norm"].item())
    return model, memory, norms


@torch.no_grad()
def stream(model: LanguageModel, memory: NeuralMemory, time: int, pieces: int) -> list[float]:
    """The memory's norm after each piece of an endless sequence."""
    norms, state = [], None
    for piece in range(pieces):
        logits, state = model(batch(time, piece)[:, :-1], state)
        assert torch.isfinite(logits).all()
        norms.append(memory.log["memory_norm"].item())
    return norms


def check(depth: int, time: int, steps: int) -> None:
    model, memory, norms = train(depth, time, steps)
    # The three kinds of sequences have norms of their own: the first of each is what may not grow.
    first = max(norms[:3])
    assert max(norms) < GROWTH * first
    assert all(torch.isfinite(p).all() for p in model.parameters())
    assert max(stream(model, memory, time, pieces=8)) < GROWTH * first


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_an_untrained_memory_stays_bounded(depth: int) -> None:
    model, memory = make(depth)
    norms = stream(model, memory, time=512, pieces=8)
    assert max(norms) < GROWTH * norms[0]


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_a_few_steps(depth: int) -> None:
    check(depth, time=512, steps=30)


@pytest.mark.slow
@pytest.mark.timeout(4 * 3600)
@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_many_steps_on_long_sequences(depth: int) -> None:
    check(depth, time=4096, steps=2000)
