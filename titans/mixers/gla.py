"""Gated linear attention: each channel of the key decays as the token says."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from titans.memory.checks import positive
from titans.memory.projection import split_heads
from titans.mixers.gated_output import GatedOutput
from titans.mixers.heads import head_width
from titans.mixers.mixer import Mixer
from titans.ops.linear_attention import linear_attention
from titans.shapes import Sequence

GLAState = Float[Tensor, "batch heads key value"]


class GLA(Mixer):
    """Gated linear attention (arXiv:2312.06635, section 4).

    `S_t = diag(a_t) S_{t-1} + k_t v_t^T`, `y_t = S_t^T q_t`, with
    `a_t = sigmoid(W_2 W_1 x_t + b)^(1 / temperature)`, and `q` over the root of its width.

    Args:
        dim: width of input and output.
        heads: attention heads.
        key_expansion: width of queries, keys and gates over `dim`.
        value_expansion: width of values over `dim`.
        rank: width between `W_1` and `W_2`.
        temperature: how much slower than a sigmoid the state decays.

    Raises:
        ValueError: `heads` do not divide these widths, or `temperature` is not above 0.
    """

    def __init__(
        self,
        dim: int,
        *,
        heads: int = 4,
        key_expansion: float = 0.5,
        value_expansion: float = 1.0,
        rank: int = 16,
        temperature: float = 16.0,
    ) -> None:
        super().__init__()
        positive(temperature=temperature)
        key, value = head_width(dim, heads, key_expansion), head_width(dim, heads, value_expansion)
        self.heads, self.widths = heads, [heads * key, heads * key, heads * value]
        self.temperature = temperature
        self.projection = nn.Linear(dim, sum(self.widths), bias=False)
        self.gate = nn.Sequential(nn.Linear(dim, rank, bias=False), nn.Linear(rank, heads * key))
        self.output = GatedOutput(dim, heads * value, nn.RMSNorm(value, eps=1e-5))

    def forward(self, x: Sequence, state: GLAState | None = None) -> tuple[Sequence, GLAState]:
        """Attends from each token to those before it. `[batch, time, dim]` to the same."""
        parts = self.projection(x).split(self.widths, dim=-1)
        queries, keys, values = (split_heads(part, self.heads) for part in parts)
        gate = split_heads(self.gate(x), self.heads)
        precise = torch.promote_types(x.dtype, torch.float32)
        log_decay = F.logsigmoid(gate.to(precise)) / self.temperature
        queries = queries * queries.shape[-1] ** -0.5
        y, state = linear_attention(queries, keys, values, log_decay, state)
        return self.output(y, x), state
