"""Causal convolution with a kernel as long as the sequence."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from titans.shapes import Sequence

FEW = 64
"""Up to so many tokens the direct sum is cheaper than the Fourier transform."""


def long_convolution(
    x: Sequence,
    kernel: Float[Tensor, "length dim"],
    past: Float[Tensor, "batch carried dim"] | None = None,
) -> tuple[Sequence, Float[Tensor, "batch carried dim"]]:
    """`y_t = sum_{s < length} kernel_s * x_{t-s}`, channel by channel, in float32 or better.

    A few tokens are summed directly, and see exactly nothing that comes later. More go through the
    Fourier transform, whose rounding is shared by all outputs.

    Args:
        x: `[batch, time, dim]`; any time, 0 included.
        kernel: `[length, dim]`, the present first.
        past: the `length - 1` tokens before `x`; None for zeros.

    Returns:
        Outputs `[batch, time, dim]`, and the last `length - 1` tokens.
    """
    length, time = len(kernel), x.shape[1]
    with torch.autocast(x.device.type, enabled=False):
        precise = x.to(torch.promote_types(x.dtype, torch.float32))
        if past is None:
            # Zeros meet only the taps that no token of `x` reaches.
            kernel = kernel[: max(time, 1)]
            carried = F.pad(precise, (0, 0, length - 1, 0))
            padded = carried[:, length - len(kernel) :]
        else:
            carried = padded = torch.cat([past, precise], dim=1)
        convolve = _direct if 0 < time <= FEW else _fourier
        y = convolve(padded, kernel.to(precise.dtype))
        # A copy, so that the whole sequence is not kept with its end.
        return y.to(x.dtype), carried[:, time:].clone()


def _direct(padded: Tensor, kernel: Tensor) -> Tensor:
    taps = kernel.flip(0).mT[:, None]
    return F.conv1d(padded.mT, taps, groups=len(taps)).mT


def _fourier(padded: Tensor, kernel: Tensor) -> Tensor:
    """The transform wraps around, which spoils only outputs before the first token's."""
    total = padded.shape[1]
    size = 1 << (total - 1).bit_length()
    spectrum = torch.fft.rfft(padded, size, dim=1) * torch.fft.rfft(kernel, size, dim=0)
    return torch.fft.irfft(spectrum, size, dim=1)[:, len(kernel) - 1 : total]
