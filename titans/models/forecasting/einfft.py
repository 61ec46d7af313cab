"""EinFFT: channels are mixed in the frequency domain (Simba, arXiv:2403.15360)."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from titans.shapes import Sequence


class EinFFT(nn.Module):
    """`F^-1 shrink(W_2 relu(W_1 F x + b_1) + b_2)`: a complex MLP between two Fourier transforms.

    The channels are cut into blocks of equal width, and each block has complex matrices of its
    own. `F` goes over the tokens and over the blocks, as in the authors' code for images, so that
    blocks exchange what they hold. ReLU and shrinking act on real and imaginary parts alone.

    Args:
        dim: channels of input and output.
        blocks: blocks of channels.
        shrink: what is taken off the size of each real and imaginary part before the way back.

    Raises:
        ValueError: `blocks` does not divide `dim`.
    """

    def __init__(self, dim: int, *, blocks: int = 4, shrink: float = 0.01) -> None:
        super().__init__()
        if blocks < 1 or dim % blocks:
            raise ValueError(f"{blocks} blocks do not divide a width of {dim}: set a divisor")
        self.blocks, self.shrink, width = blocks, shrink, dim // blocks
        # The last axis is the real and the imaginary part.
        shape, scale = (2, blocks, width, width, 2), (2 * width) ** -0.5
        self.weights = nn.Parameter(torch.randn(shape) * scale)
        self.biases = nn.Parameter(torch.zeros(2, blocks, width, 2))

    def forward(self, x: Sequence) -> Sequence:
        """`[batch, time, dim]` to the same; each output sees all tokens."""
        # There is no Fourier transform in bfloat16.
        with torch.autocast(x.device.type, enabled=False):
            precise = x.to(torch.promote_types(x.dtype, torch.float32))
            blocked = precise.unflatten(-1, (self.blocks, -1))
            spectrum = torch.fft.rfft2(blocked, dim=(2, 1), norm="ortho")
            hidden = _parts(F.relu, self._product(0, spectrum))
            shrunk = _parts(nn.Softshrink(self.shrink), self._product(1, hidden))
            sizes = self.blocks, x.shape[1]
            mixed = torch.fft.irfft2(shrunk, s=sizes, dim=(2, 1), norm="ortho")
        return mixed.flatten(-2).to(x.dtype)

    def _product(self, layer: int, x: Tensor) -> Tensor:
        """`W x + b`, block by block: `[batch, frequencies, blocks, width]` to the same."""
        weight = torch.view_as_complex(self.weights[layer])
        bias = torch.view_as_complex(self.biases[layer])
        return torch.einsum("...bi,bio->...bo", x, weight) + bias


def _parts(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """A real function of the real part, and of the imaginary part."""
    return torch.view_as_complex(function(torch.view_as_real(x)))
