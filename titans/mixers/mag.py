"""MAG: memory as a gate."""

from typing import NamedTuple

from titans.memory import NeuralMemory, NeuralMemoryState
from titans.mixers.attention import Attention, AttentionState
from titans.mixers.combine import Combine
from titans.mixers.lmm import MakeMemory, PersistentMemory
from titans.mixers.mixer import Mixer
from titans.shapes import Sequence


class MAGState(NamedTuple):
    """The states of the two branches."""

    attention: AttentionState
    memory: NeuralMemoryState


class MAG(Mixer):
    """Sliding-window attention and long-term memory side by side (v1, equations 26-28).

    Args:
        dim: width of input and output.
        memory: makes the long-term memory, given `dim`.
        heads: attention heads.
        window: tokens that the attention sees.
        persistent: learned tokens, `N_p`: a prefix of the attention, and of the memory.
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
        self.attention = Attention(
            dim, heads=heads, window=window, persistent=persistent, convolution=convolution
        )
        self.memory = PersistentMemory(memory(dim), dim, persistent)
        self.combine = Combine(dim)

    def forward(self, x: Sequence, state: MAGState | None = None) -> tuple[Sequence, MAGState]:
        """`SW-Attn([p] || x) (x) M([p] || x)`."""
        y, attention = self.attention(x, state.attention if state else None)
        m, memory = self.memory(x, state.memory if state else None)
        return self.combine(y, m), MAGState(attention, memory)
