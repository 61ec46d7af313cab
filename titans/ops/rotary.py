"""Rotary position embedding (Su et al., 2021)."""

import torch
from jaxtyping import Float
from torch import Tensor


def rotate(
    x: Float[Tensor, "*axes time dim"], first: int = 0, *, base: float = 10_000.0
) -> Float[Tensor, "*axes time dim"]:
    """Rotates pairs of channels by angles that grow with the position, which begins at `first`."""
    half = x.shape[-1] // 2
    precise = torch.promote_types(x.dtype, torch.float32)
    frequency = base ** (-torch.arange(half, device=x.device, dtype=precise) / half)
    position = torch.arange(first, first + x.shape[-2], device=x.device)
    angle = position[:, None] * frequency
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    one, two = x.chunk(2, dim=-1)
    return torch.cat([one * cos - two * sin, one * sin + two * cos], dim=-1)
