"""Steps that each token chooses, and what a state keeps over one: Mamba's discretisation."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from titans.memory.precise import PreciseLinear, precise
from titans.shapes import Sequence


class Steps(nn.Module):
    """`d_t = softplus(W x_t + b)` and the log decay `A d_t`, with `A < 0` one number a head.

    Args:
        dim: width of the input.
        heads: states side by side.
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.linear = PreciseLinear(dim, heads)
        start_steps(self.linear.bias)
        self.log_rate = nn.Parameter(torch.empty(heads).uniform_(1, 16).log())

    def forward(
        self, x: Sequence
    ) -> tuple[Float[Tensor, "batch heads time"], Float[Tensor, "batch heads time"]]:
        """`d >= 0` and `A d <= 0` of `[batch, time, dim]`, in float32 or better."""
        with torch.autocast(x.device.type, enabled=False):
            step = F.softplus(self.linear(x.to(precise(x.dtype)))).mT
            return step, -step * self.log_rate.to(step.dtype).exp()[:, None]


@torch.no_grad()
def start_steps(bias: Tensor, shortest: float = 1e-3, longest: float = 0.1) -> None:
    """Spreads `softplus(bias)` over a range, evenly in the logarithm."""
    steps = torch.empty_like(bias).uniform_(math.log(shortest), math.log(longest)).exp()
    bias.copy_(steps.expm1().log())
