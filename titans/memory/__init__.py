"""The neural long-term memory (section 3 of the paper)."""

from titans.memory.compilation import compile_chunks
from titans.memory.dual import memorize
from titans.memory.gates import Gates
from titans.memory.network import GELU, SILU, Activation, MemoryNetwork, MemoryState
from titans.memory.neural import NeuralMemory, NeuralMemoryState
from titans.memory.projection import Projection
from titans.memory.reference import memorize_reference

__all__ = [
    "GELU",
    "SILU",
    "Activation",
    "Gates",
    "MemoryNetwork",
    "MemoryState",
    "NeuralMemory",
    "NeuralMemoryState",
    "Projection",
    "compile_chunks",
    "memorize",
    "memorize_reference",
]
