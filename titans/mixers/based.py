"""The linear attention of Based."""

from typing import NamedTuple

from torch import Tensor, nn

from titans.memory.checks import at_least
from titans.memory.projection import Projection, merge_heads, split_heads
from titans.mixers.heads import head_width
from titans.mixers.mixer import Mixer
from titans.ops import taylor_attention
from titans.shapes import Sequence


class BasedState(NamedTuple):
    """The sums over all keys and values so far, and the past of the convolutions."""

    sums: Tensor
    past: Tensor


class Based(Mixer):
    """Attention with a Taylor expansion for exp, on few features a head (arXiv:2402.18668).

    Args:
        dim: width of input and output.
        heads: attention heads.
        features: channels of a query and of a key, before their expansion.
        convolution: width of the causal convolutions on q, k and v; 0 for none.
        chunk_size: tokens whose weights are computed pair by pair; changes speed alone.

    Raises:
        ValueError: `heads` does not divide `dim`, or a size is below 1.
    """

    def __init__(
        self,
        dim: int,
        *,
        heads: int = 4,
        features: int = 16,
        convolution: int = 3,
        chunk_size: int = 64,
    ) -> None:
        super().__init__()
        at_least(1, features=features, chunk_size=chunk_size)
        self.heads, self.chunk_size = heads, chunk_size
        self.widths = [heads * features, heads * features, heads * head_width(dim, heads)]
        self.projection = Projection(
            dim, sum(self.widths), convolution=convolution, activation=False
        )
        self.output = nn.Linear(dim, dim, bias=False)

    def forward(self, x: Sequence, state: BasedState | None = None) -> tuple[Sequence, BasedState]:
        """`[batch, time, dim]` to the same."""
        projected, past = self.projection(x, state.past if state else None)
        parts = projected.split(self.widths, dim=-1)
        queries, keys, values = (split_heads(part, self.heads) for part in parts)
        before = state.sums if state else None
        mixed, sums = taylor_attention.chunked(
            queries, keys, values, before, chunk_size=self.chunk_size
        )
        return self.output(merge_heads(mixed)), BasedState(sums, past)
