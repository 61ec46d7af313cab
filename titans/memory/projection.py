"""Linear map, causal depthwise convolution, SiLU: how queries, keys and values are made."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from titans.shapes import Sequence


class Projection(nn.Module):
    """`silu(conv(x W))` (v1, section 4.4), with the convolution's past carried along.

    Args:
        dim: width of the input.
        out: width of the output.
        convolution: tokens that the convolution sees, the current one included; 0 for none.
        activation: whether SiLU follows.
        bias: whether the convolution adds one.
    """

    def __init__(
        self,
        dim: int,
        out: int,
        *,
        convolution: int = 4,
        activation: bool = True,
        bias: bool = False,
    ) -> None:
        super().__init__()
        self.activation = F.silu if activation else nn.Identity()
        self.linear = nn.Linear(dim, out, bias=False)
        self.kernel = nn.Parameter(torch.zeros(convolution, out)) if convolution else None
        if self.kernel is not None:
            nn.init.uniform_(self.kernel, -(convolution**-0.5), convolution**-0.5)
        self.bias = nn.Parameter(torch.zeros(out)) if bias else None

    def forward(
        self, x: Sequence, past: Float[Tensor, "batch past out"] | None = None
    ) -> tuple[Float[Tensor, "batch time out"], Float[Tensor, "batch carried out"]]:
        """Projects `[batch, time, dim]` to `[batch, time, out]`; `past` continues a sequence."""
        projected = self.linear(x)
        if self.kernel is None:
            return self.activation(projected), projected.new_empty(len(x), 0, projected.shape[-1])
        width, time = len(self.kernel), x.shape[1]
        if past is None:
            past = projected.new_zeros(x.shape[0], width - 1, projected.shape[-1])
        padded = torch.cat([past, projected], dim=1)
        mixed = padded[:, width - 1 :] * self.kernel[-1]
        for lag in range(1, width):
            start = width - 1 - lag
            mixed = torch.addcmul(mixed, padded[:, start : start + time], self.kernel[-1 - lag])
        if self.bias is not None:
            mixed = mixed + self.bias
        # A copy, so that the whole sequence is not kept with its end.
        return self.activation(mixed), padded[:, time:].clone()


def split_heads(
    x: Float[Tensor, "batch time all"], heads: int
) -> Float[Tensor, "batch heads time dim"]:
    """`[batch, time, heads * dim]` to `[batch, heads, time, dim]`."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def merge_heads(x: Float[Tensor, "batch heads time dim"]) -> Float[Tensor, "batch time all"]:
    """`[batch, heads, time, dim]` to `[batch, time, heads * dim]`."""
    return x.transpose(1, 2).flatten(-2)
