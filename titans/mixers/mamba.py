"""Mamba: a selective state space between a convolution and a gate."""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from titans.memory.checks import at_least
from titans.memory.precise import PreciseLinear, precise
from titans.memory.projection import Projection
from titans.mixers.mixer import Mixer
from titans.mixers.steps import start_steps
from titans.ops import selective_scan
from titans.shapes import Sequence


class MambaState(NamedTuple):
    """The state space's `h`, `[batch, channels, state]`, and the convolution's past."""

    scan: Tensor
    past: Tensor


class Mamba(Mixer):
    """`W_o (S6(silu(conv(W x))) * silu(W_z x))` (arXiv:2312.00752, section 3.4).

    The initialisation is that of the paper's section 3.6: `A = -(1, ..., state)` in every channel,
    and steps `dt` spread evenly over the logarithms of 0.001 to 0.1.

    Args:
        dim: width of input and output.
        expansion: channels of the state space over `dim`.
        state: numbers that each channel keeps, `N`.
        convolution: width of the causal convolution.
        rank: width of the projection through which `dt` is made; None for `dim / 16`, rounded up.

    Raises:
        ValueError: a size is below 1.
    """

    def __init__(
        self,
        dim: int,
        *,
        expansion: int = 2,
        state: int = 16,
        convolution: int = 4,
        rank: int | None = None,
    ) -> None:
        super().__init__()
        rank = math.ceil(dim / 16) if rank is None else rank
        at_least(1, expansion=expansion, state=state, rank=rank)
        channels = expansion * dim
        self.widths = [rank, state, state]
        self.projection = Projection(dim, channels, convolution=convolution, bias=True)
        self.gate = nn.Linear(dim, channels, bias=False)
        self.selection = nn.Linear(channels, sum(self.widths), bias=False)
        self.step = PreciseLinear(rank, channels)
        nn.init.uniform_(self.step.weight, -(rank**-0.5), rank**-0.5)
        start_steps(self.step.bias)
        rates = torch.arange(1.0, state + 1).log()
        self.A_log = nn.Parameter(rates.repeat(channels, 1))
        self.D = nn.Parameter(torch.ones(channels))
        self.output = nn.Linear(channels, dim, bias=False)

    def forward(self, x: Sequence, state: MambaState | None = None) -> tuple[Sequence, MambaState]:
        """`[batch, time, dim]` to the same."""
        inputs, past = self.projection(x, state.past if state else None)
        low, B, C = self.selection(inputs).split(self.widths, dim=-1)
        # Decays multiply over a whole sequence: float32, whatever the rest is computed in.
        with torch.autocast(x.device.type, enabled=False):
            dt = F.softplus(self.step(low.to(precise(low.dtype))))
            A = -torch.exp(self.A_log.to(dt.dtype))
            before = state.scan if state else None
            y, scan = selective_scan.chunked(inputs, dt, A, B, C, self.D, before)
        return self.output(y * F.silu(self.gate(x))), MambaState(scan, past)
