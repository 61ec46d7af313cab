"""LMM: the long-term memory alone."""

from collections.abc import Callable

import torch
from torch import nn

from titans.memory import NeuralMemory, NeuralMemoryState
from titans.memory.checks import at_least
from titans.mixers.mixer import Mixer
from titans.shapes import Sequence

MakeMemory = Callable[[int], NeuralMemory]


class PersistentMemory(nn.Module):
    """A long-term memory that reads `persistent` learned tokens before every sequence (eq. 19).

    Args:
        memory: the long-term memory.
        dim: width of the tokens.
        persistent: how many there are, `N_p`; 0 for none.

    Raises:
        ValueError: `persistent` is below 0.
    """

    def __init__(self, memory: NeuralMemory, dim: int, persistent: int) -> None:
        super().__init__()
        at_least(0, persistent=persistent)
        self.memory = memory
        self.tokens = nn.Parameter(torch.randn(persistent, dim) * 0.02)

    def forward(
        self, x: Sequence, state: NeuralMemoryState | None = None
    ) -> tuple[Sequence, NeuralMemoryState]:
        """As `NeuralMemory.forward`; the outputs at the persistent tokens are dropped."""
        if state is not None:
            return self.memory(x, state)
        prefix = self.tokens.to(x.dtype).expand(len(x), -1, -1)
        y, state = self.memory(torch.cat([prefix, x], dim=1))
        return y[:, len(self.tokens) :], state


class LMM(Mixer):
    """The neural memory as a mixer of its own (v1, section 4.4).

    Args:
        dim: width of input and output.
        memory: makes the long-term memory, given `dim`.
        persistent: learned tokens written before the sequence, `N_p`.
    """

    def __init__(self, dim: int, *, memory: MakeMemory = NeuralMemory, persistent: int = 4) -> None:
        super().__init__()
        self.memory = PersistentMemory(memory(dim), dim, persistent)

    def forward(
        self, x: Sequence, state: NeuralMemoryState | None = None
    ) -> tuple[Sequence, NeuralMemoryState]:
        """`M([p || x])`."""
        return self.memory(x, state)
