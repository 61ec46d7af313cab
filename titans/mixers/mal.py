"""MAL: memory as a layer."""

from typing import NamedTuple

from torch import nn

from titans.memory import NeuralMemory, NeuralMemoryState
from titans.mixers.attention import Attention, AttentionState
from titans.mixers.lmm import MakeMemory, PersistentMemory
from titans.mixers.mixer import Mixer
from titans.shapes import Sequence


class MALState(NamedTuple):
    """The states of the two layers."""

    memory: NeuralMemoryState
    attention: AttentionState


class MAL(Mixer):
    """The memory first, sliding-window attention on its output (v1, equations 29-31).

    The memory's output also skips the attention, as each layer of a stack does; see FIDELITY.md,
    "MAL".

    Args:
        dim: width of input and output.
        memory: makes the long-term memory, given `dim`.
        heads: attention heads.
        window: tokens that the attention sees.
        persistent: learned tokens, `N_p`: a prefix of the memory, and of the attention.
        convolution: width of the causal convolutions in the attention.
    """

    def __init__(
        self,
        dim: int,
        *,
        memory: MakeMemory = NeuralMemory,
        heads: int = 4,
        window: int = 64,
        persistent: int = 4,
        convolution: int = 4,
    ) -> None:
        super().__init__()
        self.memory = PersistentMemory(memory(dim), dim, persistent)
        self.norm = nn.RMSNorm(dim)
        self.attention = Attention(
            dim, heads=heads, window=window, persistent=persistent, convolution=convolution
        )

    def forward(self, x: Sequence, state: MALState | None = None) -> tuple[Sequence, MALState]:
        """`y + SW-Attn(norm(x + y))` with `y = M([p] || x)`."""
        y, memory = self.memory(x, state.memory if state else None)
        mixed, attention = self.attention(self.norm(x + y), state.attention if state else None)
        return y + mixed, MALState(memory, attention)
