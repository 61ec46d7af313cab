"""The memory layer of another implementation, to be measured beside ours."""

from typing import Any

from titans.mixers.mixer import Mixer
from titans.shapes import Sequence


class TitansPytorch(Mixer):
    """`NeuralMemory` of the package titans-pytorch, without the norm and residual in its network.

    It reads the memory of a chunk's start, not that of each token, and what it reads depends on
    where a stream is cut: it does not keep the contract of a mixer, and no task trains it.

    Args:
        dim: width of input and output.
        heads: memories side by side, each on `dim / heads` channels.
        chunk_size: tokens that share a memory and its gates.
        batch_size: tokens, a multiple of `chunk_size`, after which gradients are taken at a new
            memory; None for all at the first one.
        depth: layers of each memory.
        expansion: width of its hidden layers over its input.

    Raises:
        ValueError: the package is not installed.
    """

    def __init__(
        self,
        dim: int,
        *,
        heads: int = 4,
        chunk_size: int = 64,
        batch_size: int | None = None,
        depth: int = 2,
        expansion: float = 2.0,
    ) -> None:
        super().__init__()
        try:
            from titans_pytorch import NeuralMemory
        except ImportError as error:
            raise ValueError("titans-pytorch is missing: pip install -e '.[peers]'") from error
        self.memory = NeuralMemory(
            dim,
            heads=heads,
            dim_head=dim // heads,
            chunk_size=chunk_size,
            batch_size=batch_size,
            mem_model_norm_add_residual=False,
            default_model_kwargs={"depth": depth, "expansion_factor": expansion},
        )
        for parameter in self.memory.parameters():
            # The package makes the heads' weights as views of one, which no optimiser can step.
            parameter.data = parameter.data.contiguous()

    def forward(self, x: Sequence, state: Any = None) -> tuple[Sequence, Any]:
        """`[batch, time, dim]` to the same, and the package's own state."""
        output, state = self.memory(x, state=state)
        return output, state
