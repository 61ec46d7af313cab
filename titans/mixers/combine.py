"""The product of attention and memory, `o = y (x) m` (v1, equations 25 and 28)."""

import torch
import torch.nn.functional as F
from torch import nn

from titans.shapes import Sequence


class Combine(nn.Module):
    """Normalises both branches with learned weights, and multiplies them.

    Each branch is offset by a learned vector that starts at 1, so that at the start the other one
    passes. The paper leaves the product open; see FIDELITY.md, "Combining the branches".
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.attention_norm, self.memory_norm = nn.RMSNorm(dim), nn.RMSNorm(dim)
        self.attention_offset = nn.Parameter(torch.ones(dim))
        self.memory_offset = nn.Parameter(torch.ones(dim))
        self.output = nn.Linear(dim, dim, bias=False)

    def forward(self, attention: Sequence, memory: Sequence) -> Sequence:
        """`W_o ((norm(y) + a) * silu(norm(m) + b))`, all `[batch, time, dim]`."""
        # PyTorch's fast norm wants its input and its scale in one precision.
        attention, memory = (x.to(self.attention_offset.dtype) for x in (attention, memory))
        y = self.attention_norm(attention) + self.attention_offset
        m = self.memory_norm(memory) + self.memory_offset
        return self.output(y * F.silu(m))
