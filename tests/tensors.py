"""Tensors by name, differentiated and compared."""

from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Tensor

Named = Mapping[str, Tensor]


def differentiate(function: Callable[..., Named], case: Named) -> dict[str, Tensor]:
    """What a function gives, and the gradient of a random projection of all to every argument."""
    leaves = {name: x.clone().requires_grad_() for name, x in case.items()}
    results = function(**leaves)
    generator = torch.Generator().manual_seed(1)
    normal = partial(torch.randn, generator=generator, dtype=torch.float64)
    loss = torch.stack([(x * normal(x.shape).to(x.dtype)).sum() for x in results.values()]).sum()
    gradients = torch.autograd.grad(loss, leaves.values(), materialize_grads=True)
    named = {f"gradient of {name}": g for name, g in zip(leaves, gradients, strict=True)}
    return {name: x.detach() for name, x in ({**results, **named}).items()}


def assert_same(found: dict[str, Tensor], expected: dict[str, Tensor], error: float) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(
            found[name],
            value,
            atol=error,
            rtol=error,
            msg=lambda text, name=name: f"{name}: {text}",
        )
