"""Prints how far compiled chunks are from the equations, and a compiled layer from an eager one.

In a process of its own: what checks types in the tests cannot be compiled.
"""

from functools import partial

import torch
from torch import Tensor

from titans.memory import (
    MemoryNetwork,
    MemoryState,
    NeuralMemory,
    body,
    compile_chunks,
    memorize,
    memorize_reference,
)
from titans.memory.blockwise import BLOCK
from titans.memory.chunk import Rule

TIME, CHUNK = 70, 16


def chunks(batch: int = 1) -> float:
    generator = torch.Generator().manual_seed(0)
    normal = partial(torch.randn, generator=generator, dtype=torch.float64)
    gates = [normal(batch, 2, TIME).sigmoid() * most for most in (0.1, 0.9, 0.1)]
    leaves = [x.requires_grad_() for x in (*(0.3 * normal(3, batch, 2, TIME, 6)), *gates)]
    state = MemoryState(
        *((0.3 * normal(batch, 2, 12, 6), 0.3 * normal(batch, 2, 6, 12)) for _ in "WS")
    )
    compile_chunks(True)
    assert body.chosen(Rule(MemoryNetwork(), None), leaves[:3], leaves[3:]) != body.EAGER
    results = []
    for function in (memorize, memorize_reference):
        outputs, after = function(*leaves, state, chunk_size=CHUNK, clip=0.3)
        gradients = torch.autograd.grad(outputs.square().sum(), leaves)
        results.append([outputs, *after.weights, *after.momentum, *gradients])
    return farthest(results)


def past_the_limit() -> float:
    """Of shapes that the compiler takes no more."""
    with torch._dynamo.config.patch(recompile_limit=1):
        return chunks(batch=3)


def layers() -> float:
    torch.manual_seed(0)
    layer = NeuralMemory(16, heads=2, chunk_size=CHUNK).double()
    x = torch.randn(4, 2 * BLOCK + TIME, 16, dtype=torch.float64, requires_grad=True)
    results = []
    for wanted in (True, False):
        compile_chunks(wanted)
        outputs, _ = layer(x)
        gradients = torch.autograd.grad(outputs.square().sum(), [x, *layer.parameters()])
        results.append([outputs, *gradients])
    return farthest(results)


def farthest(results: list[list[Tensor]]) -> float:
    errors = [(one - two).abs().max() for one, two in zip(*results, strict=True)]
    return torch.stack(errors).max().item()


if __name__ == "__main__":
    print(chunks(), past_the_limit(), layers())
