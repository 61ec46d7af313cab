"""Tensors by name, compared."""

import torch
from torch import Tensor


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
