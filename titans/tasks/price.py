"""What a forward pass writes into its memories, so that writing can have a price."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from titans.memory import Gates


class Written:
    """Steps of a forward pass, summed over calls: a segment or a chunk at a time may be read."""

    def __init__(self) -> None:
        self.total: Tensor | float = 0.0
        self.count = 0

    def __call__(self, gates: nn.Module, _: Any, output: tuple[Tensor, ...]) -> None:
        """Takes what one call of the gates puts out; see `nn.Module.register_forward_hook`."""
        assert isinstance(gates, Gates)
        theta = output[2]
        self.total = self.total + theta.sum() / gates.max_step
        self.count += theta.numel()

    @property
    def mean(self) -> Tensor | float:
        """Mean `theta` of all tokens, heads and layers over its bound at `eta` 0; 0 without any."""
        return self.total / max(1, self.count)


@contextmanager
def written_by(network: nn.Module) -> Iterator[Written]:
    """Looks at the gates of a network in the forward passes of a `with` block."""
    written = Written()
    handles = [
        module.register_forward_hook(written)
        for module in network.modules()
        if isinstance(module, Gates)
    ]
    try:
        yield written
    finally:
        for handle in handles:
            handle.remove()
