"""Prints how far compiled chunks are from the equations: types are not checked in this process.

What checks them in the tests cannot be compiled.
"""

from functools import partial

import torch

from titans.memory import MemoryState, body, compile_chunks, memorize, memorize_reference

TIME, CHUNK = 70, 16


def main() -> None:
    generator = torch.Generator().manual_seed(0)
    normal = partial(torch.randn, generator=generator, dtype=torch.float64)
    gates = [normal(1, 2, TIME).sigmoid() * most for most in (0.1, 0.9, 0.1)]
    leaves = [x.requires_grad_() for x in (*(0.3 * normal(3, 1, 2, TIME, 6)), *gates)]
    state = MemoryState(*((0.3 * normal(1, 2, 12, 6), 0.3 * normal(1, 2, 6, 12)) for _ in "WS"))
    compile_chunks(True)
    assert body.chosen() is not body.EAGER
    results = []
    for function in (memorize, memorize_reference):
        outputs, after = function(*leaves, state, chunk_size=CHUNK, clip=0.3)
        gradients = torch.autograd.grad(outputs.square().sum(), leaves)
        results.append([outputs, *after.weights, *after.momentum, *gradients])
    print(max((one - two).abs().max().item() for one, two in zip(*results, strict=True)))


if __name__ == "__main__":
    main()
