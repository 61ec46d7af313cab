"""One layer of the backbone: a mixer over time, an MLP over channels."""

from typing import Any

import torch.nn.functional as F
from torch import nn

from titans.mixers.mixer import Mixer
from titans.shapes import Sequence


class SwiGLU(nn.Module):
    """`W_3 (silu(W_1 x) * W_2 x)` (Shazeer, 2020).

    Args:
        dim: width of input and output.
        hidden: width between them.
    """

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.inner = nn.Linear(dim, 2 * hidden, bias=False)
        self.outer = nn.Linear(hidden, dim, bias=False)

    def forward(self, x: Sequence) -> Sequence:
        """`[batch, time, dim]` to the same."""
        gate, value = self.inner(x).chunk(2, dim=-1)
        return self.outer(F.silu(gate) * value)


class Block(nn.Module):
    """`x + mixer(norm x)`, then `x + mlp(norm x)`: a Llama block with its mixer exchanged.

    Args:
        dim: width of input and output.
        mixer: what mixes over time.
        hidden: width inside the MLP.
    """

    def __init__(self, dim: int, mixer: Mixer, hidden: int) -> None:
        super().__init__()
        self.mixer_norm, self.mlp_norm = nn.RMSNorm(dim), nn.RMSNorm(dim)
        self.mixer, self.mlp = mixer, SwiGLU(dim, hidden)

    def forward(self, x: Sequence, state: Any = None) -> tuple[Sequence, Any]:
        """`[batch, time, dim]` to the same, and the mixer's state."""
        mixed, state = self.mixer(self.mixer_norm(x), state)
        x = x + mixed
        return x + self.mlp(self.mlp_norm(x)), state
