"""Mamba's decays are precise, whatever its weights are kept in."""

from typing import Any

import pytest
import torch
from torch import Tensor

from titans.mixers import Mamba
from titans.ops import selective_scan


def test_steps_and_rates_of_weights_in_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    scan, seen = selective_scan.chunked, []

    def noted(x: Tensor, dt: Tensor, A: Tensor, *rest: Any) -> tuple[Tensor, Tensor]:
        seen.append((dt.dtype, A.dtype))
        return scan(x, dt, A, *rest)

    monkeypatch.setattr(selective_scan, "chunked", noted)
    layer = Mamba(8, state=4).bfloat16()
    y, _ = layer(torch.randn(1, 5, 8, dtype=torch.bfloat16))
    y.float().sum().backward()
    assert seen == [(torch.float32, torch.float32)]
    assert all(p.grad is not None and p.grad.dtype == p.dtype for p in layer.parameters())
