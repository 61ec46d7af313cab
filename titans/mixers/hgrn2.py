"""HGRN2: a gated recurrent network whose state is expanded by an outer product."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from titans.memory.projection import merge_heads, split_heads
from titans.mixers.heads import head_width
from titans.mixers.mixer import Mixer
from titans.ops.linear_attention import linear_attention
from titans.shapes import HeadSequence, Sequence

HGRN2State = Float[Tensor, "batch heads key value"]


class HGRN2(Mixer):
    """HGRN2 (arXiv:2404.07904): what a channel forgets is what it takes in.

    `S_t = diag(f_t) S_{t-1} + (1 - f_t) i_t^T`, `y_t = S_t^T o_t`, with a forget gate
    `f_t = b + (1 - b) sigmoid(W_f x_t)` above a learned bound `b` per channel.

    The paper ties the bounds of all layers, so that they rise with the depth. A mixer does not know
    its layer: here each learns its own.

    Args:
        dim: width of input and output.
        heads: into how many states the layer is cut.
        expansion: width of the gates over `dim`; a head keeps `expansion * dim / heads` numbers for
            each channel that it takes in.
        lower_bound: `b` before training.

    Raises:
        ValueError: `heads` do not divide these widths, or the bound is not between 0 and 1.
    """

    def __init__(
        self, dim: int, *, heads: int = 4, expansion: float = 1.0, lower_bound: float = 0.5
    ) -> None:
        super().__init__()
        if not 0 < lower_bound < 1:
            raise ValueError(f"lower_bound={lower_bound}: a share between 0 and 1")
        gate, value = head_width(dim, heads, expansion), head_width(dim, heads)
        self.heads, self.widths = heads, [heads * gate, heads * gate, heads * value]
        self.projection = nn.Linear(dim, sum(self.widths), bias=False)
        self.bound = nn.Parameter(torch.full((heads, 1, gate), lower_bound).logit())
        self.norm = nn.RMSNorm(dim, eps=1e-5)
        self.output = nn.Linear(dim, dim, bias=False)

    def forward(self, x: Sequence, state: HGRN2State | None = None) -> tuple[Sequence, HGRN2State]:
        """Takes in each token. `[batch, time, dim]` to the same."""
        parts = self.projection(x).split(self.widths, dim=-1)
        queries, gate, values = (split_heads(part, self.heads) for part in parts)
        log_forget, keys = self._forget(gate)
        y, state = linear_attention(F.silu(queries), keys, values, log_forget, state)
        return self.output(self.norm(merge_heads(y).to(x.dtype))), state

    def _forget(self, gate: HeadSequence) -> tuple[HeadSequence, HeadSequence]:
        """`log f` and `1 - f`, both without a difference that could lose digits."""
        precise = torch.promote_types(gate.dtype, torch.float32)
        gate, bound = gate.to(precise), self.bound.to(precise)
        above = F.logsigmoid(-bound) + F.logsigmoid(gate)
        return torch.logaddexp(F.logsigmoid(bound), above), (-bound).sigmoid() * (-gate).sigmoid()
