"""DeltaNet: a matrix memory that replaces what it holds for a key."""

from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from titans.memory.projection import Projection, merge_heads, split_heads
from titans.mixers.heads import head_width
from titans.mixers.mixer import Mixer
from titans.ops.delta_rule import delta_rule
from titans.shapes import Sequence


class DeltaNetState(NamedTuple):
    """The memory of each head, `[batch, heads, dim, out]`, and the past of the convolutions."""

    memory: Tensor
    past: Tensor


class DeltaNet(Mixer):
    """Linear attention that learns by the delta rule (arXiv:2406.06484).

    Args:
        dim: width of input and output.
        heads: memories side by side, each on `dim / heads` channels.
        convolution: width of the causal convolutions on q, k and v; 0 for none.

    Raises:
        ValueError: `heads` does not divide `dim`.
    """

    def __init__(self, dim: int, *, heads: int = 4, convolution: int = 4) -> None:
        super().__init__()
        self.heads, width = heads, head_width(dim, heads)
        self.projection = Projection(dim, 3 * dim, convolution=convolution)
        self.beta = nn.Linear(dim, heads, bias=False)
        self.norm = nn.RMSNorm(width, eps=1e-5)
        self.output = nn.Linear(dim, dim, bias=False)

    def forward(
        self, x: Sequence, state: DeltaNetState | None = None
    ) -> tuple[Sequence, DeltaNetState]:
        """Writes each token, and reads the memory after it. `[batch, time, dim]` to the same."""
        projected, past = self.projection(x, state.past if state else None)
        queries, keys, values = (split_heads(p, self.heads) for p in projected.chunk(3, dim=-1))
        queries, keys = F.normalize(queries, dim=-1), F.normalize(keys, dim=-1)
        beta = self.beta(x).sigmoid().mT
        memory = state.memory if state else None
        read, memory = delta_rule(queries, keys, values, beta, state=memory)
        return self.output(merge_heads(self.norm(read.to(x.dtype)))), DeltaNetState(memory, past)
