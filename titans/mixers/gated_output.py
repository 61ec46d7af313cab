"""How RetNet, GLA and Gated DeltaNet end: normalised heads, a swish gate, a linear map."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from titans.memory.projection import merge_heads
from titans.shapes import Sequence


class GatedOutput(nn.Module):
    """`W_o (norm(y) * silu(W_g x))`.

    Args:
        dim: width of the input `x` and of the output.
        width: channels of all heads of `y` together.
        norm: normalises the channels of one head.
    """

    def __init__(self, dim: int, width: int, norm: nn.Module) -> None:
        super().__init__()
        self.norm = norm
        self.gate = nn.Linear(dim, width, bias=False)
        self.output = nn.Linear(width, dim, bias=False)

    def forward(self, y: Float[Tensor, "batch heads time head"], x: Sequence) -> Sequence:
        """`y` `[batch, heads, time, head]` and `x` `[batch, time, dim]` to `x`'s shape."""
        heads: Tensor = self.norm(y.to(x.dtype))
        return self.output(merge_heads(heads) * F.silu(self.gate(x)))
