"""What every mixer promises."""

from typing import Any

from torch import nn

from titans.shapes import Sequence


class Mixer(nn.Module):
    """A causal map over a sequence that can be cut anywhere.

    Output `t` depends on `x` up to `t`. `forward(x)` equals `forward` of any pieces of `x` in
    turn, each given the state that the one before returned.
    """

    def forward(self, x: Sequence, state: Any = None) -> tuple[Sequence, Any]:
        """Mixes `[batch, time, dim]`; `state` is None at the start of a sequence."""
        raise NotImplementedError
