"""Which parameters decay, and how the learning rate goes up and down."""

import math
from collections.abc import Callable, Iterable
from typing import Any

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from titans.memory import Gates

MakeOptimizer = Callable[[Iterable[dict[str, Any]]], Optimizer]


def decayed_apart(network: nn.Module) -> list[dict[str, Any]]:
    """Parameter groups: weight decay on matrices of linear maps and embeddings alone.

    Norms, biases, the memory's gates, convolutions, persistent tokens and the memory's initial
    weights do not decay.
    """
    decayed = set()
    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Embedding):
            decayed.add(module.weight)
    decayed -= {p for module in network.modules() if isinstance(module, Gates)
                for p in module.parameters()}  # fmt: skip
    free = [p for p in network.parameters() if p not in decayed]
    kept = [p for p in network.parameters() if p in decayed]
    return [{"params": kept}, {"params": free, "weight_decay": 0.0}]


def cosine(optimizer: Optimizer, steps: int, warmup: int, final: float) -> LambdaLR:
    """Linear warm-up over `warmup` steps, then half a cosine down to `final` of the peak."""

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        progress = min(1.0, (step - warmup) / max(1, steps - warmup))
        return final + (1 - final) * 0.5 * (1 + math.cos(math.pi * progress))

    return LambdaLR(optimizer, factor)
