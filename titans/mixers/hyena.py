"""The Hyena operator: a long implicit convolution between two gates."""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from titans.memory.checks import at_least
from titans.memory.precise import PreciseLinear, precise
from titans.memory.projection import Projection
from titans.mixers.mixer import Mixer
from titans.ops.long_convolution import long_convolution
from titans.shapes import Sequence


class Sine(nn.Module):
    """`sin(w x)`, with a learned frequency for each channel.

    Args:
        width: channels.
        frequency: `w` at the start.
    """

    def __init__(self, width: int, frequency: float = 10.0) -> None:
        super().__init__()
        self.frequency = nn.Parameter(torch.full((width,), frequency))

    def forward(self, x: Tensor) -> Tensor:
        """`[..., width]` to the same."""
        return torch.sin(self.frequency.to(x.dtype) * x)


class ImplicitFilter(nn.Module):
    """A convolution's kernel as a function of the position (arXiv:2302.10866, section 3.3).

    An MLP with sines maps a position, itself and two waves, to a tap for each channel; a window
    damps it, at a rate that differs from channel to channel. The constants are those of HyenaDNA.

    Args:
        dim: channels.
        length: taps.
        width: width of the MLP.
    """

    def __init__(self, dim: int, length: int, *, width: int = 64) -> None:
        super().__init__()
        self.dim, self.length = dim, length
        self.mlp = nn.Sequential(
            PreciseLinear(5, width),
            Sine(width),
            PreciseLinear(width, width),
            Sine(width),
            PreciseLinear(width, width),
            Sine(width),
            PreciseLinear(width, dim, bias=False),
        )

    def forward(self) -> Float[Tensor, "length dim"]:
        """The kernel, the present first, in float32 or better."""
        weight = next(self.parameters())
        # Positions above 256 are not all there in bfloat16.
        dtype = precise(weight.dtype)
        step = torch.arange(self.length, device=weight.device, dtype=dtype)[:, None]
        position = step / max(self.length - 1, 1)
        angle = 2 * math.pi * step / self.length * torch.tensor([1e-4, 1.0]).to(step)
        taps = self.mlp(torch.cat([position, angle.cos(), -angle.sin()], dim=-1))
        # A channel has faded to 1% after between 0.3 and 1.5 of the length.
        slow, fast = -math.log(0.01) / 1.5, -math.log(0.01) / 0.3
        rates = torch.linspace(slow, fast, self.dim, device=step.device, dtype=step.dtype)
        return taps * (torch.exp(-position * rates) + 0.05)


class HyenaState(NamedTuple):
    """The last `length - 1` inputs of the long convolution, and the past of the short ones."""

    long: Tensor
    short: Tensor


class Hyena(Mixer):
    """`W_o (g * (h . u + d u))` with `u = k * v`, where `.` is a long convolution (order 2).

    An implicit kernel has no recurrence: a stream keeps the inputs that the kernel still reaches.

    Args:
        dim: width of input and output.
        length: taps of the long convolution; what lies further back is not seen.
        convolution: width of the short convolutions on g, k and v.
        width: width of the MLP that makes the kernel.

    Raises:
        ValueError: `length` is below 1.
    """

    def __init__(
        self, dim: int, *, length: int = 1024, convolution: int = 3, width: int = 64
    ) -> None:
        super().__init__()
        at_least(1, length=length)
        self.projection = Projection(dim, 3 * dim, convolution=convolution, activation=False)
        self.filter = ImplicitFilter(dim, length, width=width)
        self.skip = nn.Parameter(torch.randn(dim))
        self.output = nn.Linear(dim, dim, bias=False)

    def forward(self, x: Sequence, state: HyenaState | None = None) -> tuple[Sequence, HyenaState]:
        """`[batch, time, dim]` to the same."""
        projected, short = self.projection(x, state.short if state else None)
        gate, key, value = projected.chunk(3, dim=-1)
        inputs = key * value
        with torch.autocast(x.device.type, enabled=False):
            kernel = self.filter()
        mixed, long = long_convolution(inputs, kernel, state.long if state else None)
        return self.output(gate * (mixed + self.skip * inputs)), HyenaState(long, short)
