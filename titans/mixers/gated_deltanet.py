"""Gated DeltaNet: the delta rule on a memory that decays."""

import torch.nn.functional as F
from torch import nn

from titans.memory.projection import Projection, split_heads
from titans.mixers.deltanet import DeltaNetState
from titans.mixers.gated_output import GatedOutput
from titans.mixers.heads import head_width
from titans.mixers.mixer import Mixer
from titans.mixers.steps import Steps
from titans.ops.delta_rule import delta_rule
from titans.shapes import Sequence


class GatedDeltaNet(Mixer):
    """DeltaNet with a decay before each write, and a gate on its output (arXiv:2412.06464).

    Args:
        dim: width of input and output.
        heads: memories side by side.
        key_expansion: channels of queries and keys, all heads together, over `dim`.
        value_expansion: channels of values, likewise. The defaults give `6 dim^2` parameters.
        convolution: width of the causal convolutions on q, k and v; 0 for none.

    Raises:
        ValueError: `heads` does not divide the channels.
    """

    def __init__(
        self,
        dim: int,
        *,
        heads: int = 4,
        key_expansion: float = 0.75,
        value_expansion: float = 1.5,
        convolution: int = 4,
    ) -> None:
        super().__init__()
        key, value = head_width(dim, heads, key_expansion), head_width(dim, heads, value_expansion)
        self.heads, self.widths = heads, [heads * key, heads * key, heads * value]
        self.projection = Projection(dim, sum(self.widths), convolution=convolution)
        self.beta = nn.Linear(dim, heads, bias=False)
        self.steps = Steps(dim, heads)
        self.output = GatedOutput(dim, heads * value, nn.RMSNorm(value, eps=1e-5))

    def forward(
        self, x: Sequence, state: DeltaNetState | None = None
    ) -> tuple[Sequence, DeltaNetState]:
        """Writes each token, and reads the memory after it. `[batch, time, dim]` to the same."""
        projected, past = self.projection(x, state.past if state else None)
        parts = projected.split(self.widths, dim=-1)
        queries, keys, values = (split_heads(p, self.heads) for p in parts)
        queries, keys = F.normalize(queries, dim=-1), F.normalize(keys, dim=-1)
        beta = self.beta(x).sigmoid().mT
        _, log_decay = self.steps(x)
        memory = state.memory if state else None
        read, memory = delta_rule(queries, keys, values, beta, log_decay, memory)
        return self.output(read, x), DeltaNetState(memory, past)
