"""Gated DeltaNet: the delta rule on a memory that decays."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from titans.memory.projection import Projection, merge_heads, split_heads
from titans.mixers.deltanet import DeltaNetState
from titans.mixers.mixer import Mixer
from titans.ops.delta_rule import delta_rule
from titans.shapes import Sequence


class LogDecay(nn.Module):
    """`log a = -exp(A) softplus(W x + b)` of every token and head, as in Mamba2.

    Args:
        dim: width of the input.
        heads: memories side by side.
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.linear = nn.Linear(dim, heads)
        # Mamba2's start: rates of 1 to 16, steps of 0.001 to 0.1.
        self.log_rate = nn.Parameter(torch.empty(heads).uniform_(1, 16).log())
        step = torch.empty(heads).uniform_(math.log(1e-3), math.log(0.1)).exp()
        with torch.no_grad():
            self.linear.bias.copy_(torch.expm1(step).log())

    def forward(self, x: Sequence) -> Float[Tensor, "batch heads time"]:
        """`[batch, time, dim]` to numbers at most 0, in float32 or better."""
        precise = torch.promote_types(x.dtype, torch.float32)
        with torch.autocast(x.device.type, enabled=False):
            weight, bias = self.linear.weight.to(precise), self.linear.bias.to(precise)
            step = F.softplus(F.linear(x.to(precise), weight, bias))
            return -(self.log_rate.to(precise).exp() * step).mT


class GatedDeltaNet(Mixer):
    """DeltaNet with a decay before each write, and a gate on its output (arXiv:2412.06464).

    Args:
        dim: width of input and output.
        heads: memories side by side.
        expand_keys: channels of queries and keys, all heads together, over `dim`.
        expand_values: channels of values, likewise. The defaults give `6 dim^2` parameters.
        convolution: width of the causal convolutions on q, k and v; 0 for none.

    Raises:
        ValueError: `heads` does not divide the channels.
    """

    def __init__(
        self,
        dim: int,
        *,
        heads: int = 4,
        expand_keys: float = 0.75,
        expand_values: float = 1.5,
        convolution: int = 4,
    ) -> None:
        super().__init__()
        keys, values = int(expand_keys * dim), int(expand_values * dim)
        if keys % heads or values % heads:
            raise ValueError(
                f"{heads} heads do not divide {keys} channels of keys, {values} of values"
            )
        self.heads, self.widths = heads, (keys, keys, values)
        self.projection = Projection(dim, 2 * keys + values, convolution=convolution)
        self.beta = nn.Linear(dim, heads, bias=False)
        self.log_decay = LogDecay(dim, heads)
        self.norm = nn.RMSNorm(values // heads)
        self.output_gate = nn.Linear(dim, values, bias=False)
        self.output = nn.Linear(values, dim, bias=False)

    def forward(
        self, x: Sequence, state: DeltaNetState | None = None
    ) -> tuple[Sequence, DeltaNetState]:
        """Writes each token, and reads the memory after it. `[batch, time, dim]` to the same."""
        projected, past = self.projection(x, state.past if state else None)
        parts = projected.split(self.widths, dim=-1)
        queries, keys, values = (split_heads(p, self.heads) for p in parts)
        queries, keys = F.normalize(queries, dim=-1), F.normalize(keys, dim=-1)
        beta = self.beta(x).sigmoid().mT
        memory = state.memory if state else None
        read, memory = delta_rule(queries, keys, values, beta, self.log_decay(x), memory)
        merged = merge_heads(self.norm(read.to(x.dtype))) * F.silu(self.output_gate(x))
        return self.output(merged), DeltaNetState(memory, past)
