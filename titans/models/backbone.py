"""A stack of blocks that repeats a mapping of mixers over its depth."""

from collections.abc import Callable, Mapping
from itertools import cycle, islice
from typing import Any

from torch import nn

from titans.mixers.mixer import Mixer
from titans.models.block import Block
from titans.shapes import Sequence


class Backbone(nn.Module):
    """Blocks one after the other, then a norm.

    Args:
        dim: width of the stack.
        layers: how many blocks.
        mixers: what makes a mixer; the mapping's values are taken in turn, over and over.
        mlp_width: width inside a block's MLP; None for 8/3 of `dim`.

    Raises:
        ValueError: no mixer, or no layer.
    """

    def __init__(
        self,
        dim: int,
        layers: int,
        mixers: Mapping[str, Callable[[], Mixer]],
        *,
        mlp_width: int | None = None,
    ) -> None:
        super().__init__()
        if not mixers or layers < 1:
            raise ValueError("a backbone needs a mixer and a layer: set model.mixers, scale.layers")
        self.dim = dim
        width = 8 * dim // 3 if mlp_width is None else mlp_width
        makers = islice(cycle(mixers.values()), layers)
        self.blocks = nn.ModuleList(Block(dim, make(), width) for make in makers)
        self.norm = nn.RMSNorm(dim)

    def forward(self, x: Sequence, state: Any = None) -> tuple[Sequence, tuple[Any, ...]]:
        """`[batch, time, dim]` to the same, and the state of each block."""
        states = []
        for block, past in zip(self.blocks, state or [None] * len(self.blocks), strict=True):
            x, after = block(x, past)
            states.append(after)
        return self.norm(x), tuple(states)
