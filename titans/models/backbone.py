"""A stack of blocks that repeats a mapping of mixers over its depth."""

from collections.abc import Callable, Mapping
from itertools import cycle, islice
from typing import Any

from torch import nn
from torch.utils.checkpoint import checkpoint

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
        self.recomputes = False

    def forward(self, x: Sequence, state: Any = None) -> tuple[Sequence, tuple[Any, ...]]:
        """`[batch, time, dim]` to the same, and the state of each block."""
        states = []
        for block, past in zip(self.blocks, state or [None] * len(self.blocks), strict=True):
            x, after = self._run(block, x, past)
            states.append(after)
        return self.norm(x), tuple(states)

    def _run(self, block: nn.Module, x: Sequence, past: Any) -> Any:
        if not (self.recomputes and self.training and x.requires_grad):
            return block(x, past)
        # Reentrant: the memory keeps what its gradient needs only where one is computed at once.
        # No gradient goes through a state, and none does where a training cuts its sequences.
        return checkpoint(block, x, past, use_reentrant=True)


def recompute_blocks(network: nn.Module) -> None:
    """Has a training compute each block a second time for its gradient, and keep its input alone.

    Raises:
        ValueError: the network is no stack of blocks.
    """
    backbones = [module for module in network.modules() if isinstance(module, Backbone)]
    if not backbones:
        raise ValueError(
            "hardware.activation_checkpointing needs a stack of blocks, which this model is not: "
            "leave it out"
        )
    for backbone in backbones:
        backbone.recomputes = True
