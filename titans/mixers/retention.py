"""Retention: linear attention in which each head forgets at a fixed rate (RetNet)."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from titans.memory.projection import split_heads
from titans.mixers.attention import check_heads
from titans.mixers.gated_output import GatedOutput
from titans.mixers.heads import head_width
from titans.mixers.mixer import Mixer
from titans.ops.linear_attention import linear_attention
from titans.ops.rotary import rotate
from titans.shapes import Sequence

RetentionState = Float[Tensor, "batch heads key value"]
"""What the heads remember; its keys are rotated as if the next token stood at position 0."""


class Retention(Mixer):
    """Multi-scale retention (arXiv:2307.08621, section 2).

    `S_t = gamma_h S_{t-1} + k_t v_t^T`, `y_t = S_t^T q_t` with queries and keys rotated by their
    positions and keys over the root of their width, head `h` (from 0) forgetting at
    `gamma_h = 1 - 2^(-5-h)`.

    Args:
        dim: width of input and output.
        heads: retention heads.
        key_expansion: width of queries and of keys over `dim`.
        value_expansion: width of values over `dim`.

    Raises:
        ValueError: `heads` do not divide these widths, or leave keys an odd number of channels.
    """

    def __init__(
        self, dim: int, *, heads: int = 4, key_expansion: float = 1.0, value_expansion: float = 2.0
    ) -> None:
        super().__init__()
        key, value = head_width(dim, heads, key_expansion), head_width(dim, heads, value_expansion)
        check_heads(heads * key, heads)
        self.heads, self.widths = heads, [heads * key, heads * key, heads * value]
        self.projection = nn.Linear(dim, sum(self.widths), bias=False)
        # The paper's GroupNorm: each head by itself; its code learns no weights here.
        norm = nn.LayerNorm(value, elementwise_affine=False)
        self.output = GatedOutput(dim, heads * value, norm)

    def forward(
        self, x: Sequence, state: RetentionState | None = None
    ) -> tuple[Sequence, RetentionState]:
        """Retains each token. `[batch, time, dim]` to the same."""
        parts = self.projection(x).split(self.widths, dim=-1)
        queries, keys, values = (split_heads(part, self.heads) for part in parts)
        queries, keys = rotate(queries), rotate(keys) * keys.shape[-1] ** -0.5
        log_decay = log_retention(self.heads, x).expand(1, -1, x.shape[1])
        y, state = linear_attention(queries, keys, values, log_decay, state)
        return self.output(y, x), _turn(state, -x.shape[1])


def log_retention(heads: int, like: Tensor) -> Float[Tensor, "heads 1"]:
    """`log gamma_h`, in float32 or better."""
    precise = torch.promote_types(like.dtype, torch.float32)
    head = torch.arange(heads, device=like.device, dtype=precise)
    return torch.log1p(-torch.exp2(-5 - head))[:, None]


def _turn(state: RetentionState, by: int) -> RetentionState:
    """Moves all keys of a state by so many positions, so that positions start anew at 0."""
    return rotate(state.mT[..., None, :], by)[..., 0, :].mT
