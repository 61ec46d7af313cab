"""What MAC logs of its memory is of the whole forward pass, not of its last segment."""

from functools import partial

import pytest
import torch
from torch import Tensor

from titans.memory import NeuralMemory
from titans.mixers import MAC

DIM, SEGMENT = 8, 4


@torch.no_grad()
@pytest.mark.parametrize("time", [3, SEGMENT, 3 * SEGMENT, 3 * SEGMENT + 1])
def test_gates_of_all_tokens(time: int) -> None:
    torch.manual_seed(0)
    memory = partial(NeuralMemory, heads=2, chunk_size=2)
    module = MAC(DIM, memory=memory, heads=2, segment=SEGMENT)
    seen: list[tuple[Tensor, ...]] = []
    module.memory.gates.register_forward_hook(lambda *call: seen.append(call[2]))
    _, state = module(torch.randn(2, time, DIM))
    log = module.memory.log
    for name, gates in zip(("alpha", "eta", "theta"), zip(*seen, strict=True), strict=True):
        torch.testing.assert_close(log[name], torch.cat(gates, dim=2).mean())
    weights = state.memory.memory.weights
    norm = sum(w.square().sum((-2, -1)) for w in weights).sqrt().mean()
    torch.testing.assert_close(log["memory_norm"], norm)
