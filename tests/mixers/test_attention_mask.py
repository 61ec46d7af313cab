"""A sliding window's mask is there once, however many sequences and heads look through it."""

import pytest
import torch
from torch import Tensor

from titans.mixers import Attention

WINDOW, TIME, DIM = 8, 32, 16


def make(persistent: int) -> Attention:
    return Attention(DIM, heads=1, window=WINDOW, persistent=persistent)


@pytest.mark.parametrize("persistent", [0, 3])
def test_a_batch_has_one_mask(persistent: int) -> None:
    module, shapes = make(persistent), set()
    seen = (WINDOW, 2 * WINDOW - 1 + persistent)

    def note(x: Tensor) -> Tensor:
        shapes.add(tuple(x.shape))
        return x

    with torch.autograd.graph.saved_tensors_hooks(note, lambda x: x):
        module(torch.randn(5, TIME, DIM))
    masks = [shape for shape in shapes if shape[-2:] == seen]
    assert masks == [(TIME // WINDOW, 1, *seen)]


@pytest.mark.parametrize("persistent", [0, 3])
def test_the_kernel_is_the_fused_one(persistent: int) -> None:
    y, _ = make(persistent)(torch.randn(5, TIME, DIM))
    nodes, names = [y.grad_fn], set()
    while nodes:
        node = nodes.pop()
        if node is not None:
            names.add(node.name())
            nodes += [parent for parent, _ in node.next_functions]
    assert "ScaledDotProductFlashAttentionForCpuBackward0" in names
