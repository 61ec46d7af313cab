"""Mamba2: a state space whose decay is one number a head, as linear attention."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from titans.memory.checks import at_least, positive
from titans.memory.projection import Projection, merge_heads, split_heads
from titans.mixers.mixer import Mixer
from titans.mixers.steps import Steps
from titans.ops.linear_attention import linear_attention
from titans.shapes import Sequence


class Mamba2State(NamedTuple):
    """The state space `[batch, heads, state, head_dim]`, and the past of the convolution."""

    space: Tensor
    past: Tensor


class Mamba2(Mixer):
    """Mamba2 (arXiv:2405.21060, section 7.1).

    `S_t = exp(d_t A) S_{t-1} + B_t (d_t x_t)^T`, `y_t = S_t^T C_t + D x_t`, with
    `d_t = softplus(W_d x_t + b)`, and `A < 0` and `D` one number a head. All heads share
    `B` and `C`.

    Args:
        dim: width of input and output.
        expansion: width of the heads together over `dim`.
        head_dim: width of a head; a narrower layer has one head.
        state: channels of `B` and `C`.
        convolution: width of the causal convolution on `x`, `B` and `C`.

    Raises:
        ValueError: `head_dim` does not divide the width of the heads together, or a size is
            below 1.
    """

    def __init__(
        self,
        dim: int,
        *,
        expansion: float = 2.0,
        head_dim: int = 64,
        state: int = 128,
        convolution: int = 4,
    ) -> None:
        super().__init__()
        inner = round(expansion * dim)
        at_least(1, head_dim=head_dim, state=state)
        positive(expansion=expansion)
        head_dim = min(head_dim, inner)
        if inner % head_dim:
            raise ValueError(f"heads of {head_dim} do not divide {expansion} x {dim} channels")
        self.heads, self.widths = inner // head_dim, [inner, state, state]
        self.projection = Projection(dim, sum(self.widths), convolution=convolution, bias=True)
        self.gate = nn.Linear(dim, inner, bias=False)
        self.steps = Steps(dim, self.heads)
        self.skip = nn.Parameter(torch.ones(self.heads, 1, 1))
        self.norm = nn.RMSNorm(inner, eps=1e-5)
        self.output = nn.Linear(inner, dim, bias=False)

    def forward(
        self, x: Sequence, state: Mamba2State | None = None
    ) -> tuple[Sequence, Mamba2State]:
        """Reads each token into the state space. `[batch, time, dim]` to the same."""
        projected, past = self.projection(x, state.past if state else None)
        inputs, keys, queries = projected.split(self.widths, dim=-1)
        inputs = split_heads(inputs, self.heads)
        step, log_decay = self.steps(x)
        values = (inputs * step[..., None]).to(inputs.dtype)
        space = state.space if state else None
        y, space = linear_attention(queries[:, None], keys[:, None], values, log_decay, space)
        y = merge_heads(y + self.skip * inputs) * F.silu(self.gate(x))
        return self.output(self.norm(y.to(x.dtype))), Mamba2State(space, past)
