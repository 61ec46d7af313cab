"""Linear maps whose results need more digits than the weights are kept in."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class PreciseLinear(nn.Linear):
    """A linear map in the precision of its input, whatever that of its weights."""

    def forward(self, x: Tensor) -> Tensor:
        """`[..., in]` to `[..., out]`."""
        weight, bias = self.weight.to(x.dtype), self.bias
        return F.linear(x, weight, None if bias is None else bias.to(x.dtype))


def precise(dtype: torch.dtype) -> torch.dtype:
    """float32, or better where something is in more already."""
    return torch.promote_types(dtype, torch.float32)
