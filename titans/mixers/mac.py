"""MAC: memory as a context."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from titans.memory import NeuralMemory, NeuralMemoryState, Projection
from titans.memory.checks import at_least
from titans.memory.gates import over_pieces
from titans.memory.projection import merge_heads, split_heads
from titans.mixers.attention import attend, causal_mask, check_heads
from titans.mixers.combine import Combine
from titans.mixers.lmm import MakeMemory
from titans.mixers.mixer import Mixer
from titans.ops.rotary import rotate
from titans.shapes import HeadSequence, Sequence


class Piece(NamedTuple):
    """Tokens of one segment, and what they ask and offer."""

    x: Sequence
    recall: HeadSequence
    queries: HeadSequence
    keys: HeadSequence
    values: HeadSequence


class MACState(NamedTuple):
    """What continues a sequence, in the midst of a segment or between two.

    Attributes:
        memory: the long-term memory as written so far.
        retrieved_from: its weights where this segment began, `M_{t-1}`.
        keys: of the segment's retrieved tokens and of its own, not yet rotated.
        values: likewise.
        past: the last inputs of the convolutions, of retrieval and of attention.
    """

    memory: NeuralMemoryState | None
    retrieved_from: tuple[Tensor, ...]
    keys: tuple[HeadSequence, HeadSequence]
    values: tuple[HeadSequence, HeadSequence]
    past: tuple[Tensor | None, Tensor | None]


class MAC(Mixer):
    """Attention within a segment, to it and to what the memory recalls for it (eq. 21-25).

    Token `i` sees the persistent tokens, and of the recalled and the segment's own tokens those
    up to `i`: the paper's figure would let it see the future; see FIDELITY.md, "Causality of MAC".

    Args:
        dim: width of input and output.
        memory: makes the long-term memory, given `dim`.
        heads: attention heads.
        segment: tokens attended to at once; a multiple of the memory's chunk.
        persistent: learned tokens that every token sees, `N_p`.
        convolution: width of the causal convolutions on queries, keys and values.

    Raises:
        ValueError: the segment is not a multiple of the memory's chunk, `heads` do not fit, or
            `persistent` is below 0.
    """

    def __init__(
        self,
        dim: int,
        *,
        memory: MakeMemory = NeuralMemory,
        heads: int = 4,
        segment: int = 64,
        persistent: int = 4,
        convolution: int = 4,
    ) -> None:
        super().__init__()
        check_heads(dim, heads)
        at_least(0, persistent=persistent)
        self.memory, self.heads, self.segment = memory(dim), heads, segment
        chunk = self.memory.chunk_size
        if segment < 1 or segment % chunk:
            raise ValueError(
                f"a segment of {segment} tokens does not hold a whole number of memory chunks of "
                f"{chunk}: set segment to a multiple of chunk_size"
            )
        self.retrieval = Projection(dim, dim, convolution=convolution)
        self.retrieval_norm = nn.RMSNorm(dim)
        self.retrieved = nn.Linear(dim, 2 * dim, bias=False)
        self.projection = Projection(dim, 3 * dim, convolution=convolution, activation=False)
        self.attended, self.memory_norm = nn.Linear(dim, dim, bias=False), nn.RMSNorm(dim)
        nn.init.zeros_(self.attended.weight)
        self.persistent = nn.Parameter(torch.randn(2, heads, persistent, dim // heads) * 0.02)
        self.combine = Combine(dim)

    def start(self, x: Sequence) -> MACState:
        """The state before a sequence shaped like `x`."""
        empty = x.new_zeros(len(x), self.heads, 0, x.shape[-1] // self.heads)
        weights = self.memory.start(len(x)).weights
        return MACState(None, weights, (empty, empty), (empty, empty), (None, None))

    def forward(self, x: Sequence, state: MACState | None = None) -> tuple[Sequence, MACState]:
        """Goes through the sequence segment by segment. `[batch, time, dim]` to the same."""
        state = state or self.start(x)
        recall, recall_past = self.retrieval(x, state.past[0])
        projected, past = self.projection(x, state.past[1])
        recall = F.normalize(split_heads(recall, self.memory.heads), dim=-1)
        own = [split_heads(p, self.heads) for p in projected.chunk(3, dim=-1)]
        first = min(x.shape[1], self.segment - state.keys[1].shape[2])
        later = range(first, x.shape[1], self.segment)
        sizes = [first, *(min(self.segment, x.shape[1] - start) for start in later)]
        # `split`, since the gradient of each slice would be as long as the sequence.
        pieces = zip(*(p.split(sizes, dim=-2) for p in (x, recall, *own)), strict=True)
        attended, read, logs = [], [], []
        for piece in pieces:
            y, m, state = self._within_segment(Piece(*piece), state)
            attended.append(y)
            read.append(m)
            logs.append(self.memory.log)
        self.memory.log = over_pieces(logs, sizes)
        output = self.combine(torch.cat(attended, dim=1), torch.cat(read, dim=1))
        return output, state._replace(past=(recall_past, past))

    def _within_segment(self, piece: Piece, state: MACState) -> tuple[Sequence, Sequence, MACState]:
        """Tokens of one segment: `y`, what the memory holds for it, and the state after them."""
        recall = piece.recall.to(state.retrieved_from[0].dtype)
        h = merge_heads(self.memory.network.read(state.retrieved_from, recall))  # eq. 21
        h = self.retrieved(self.retrieval_norm(h.to(piece.x.dtype)))
        new_keys, new_values = (split_heads(p, self.heads) for p in h.chunk(2, dim=-1))
        seen_keys = _append(state.keys, (new_keys, piece.keys))
        seen_values = _append(state.values, (new_values, piece.values))
        y = piece.x + self._attend(piece.queries, seen_keys, seen_values)  # eq. 22-23
        m, memory = self.memory(self.memory_norm(y), state.memory)  # eq. 24
        if seen_keys[1].shape[2] < self.segment:
            return y, m, state._replace(memory=memory, keys=seen_keys, values=seen_values)
        # Nothing of the segment is kept, nor later the momentum with the weights.
        empty = torch.empty_like(piece.keys[:, :, :0])
        weights = tuple(w.clone() for w in memory.memory.weights)
        return y, m, MACState(memory, weights, (empty, empty), (empty, empty), state.past)

    def _attend(
        self, queries: Tensor, keys: tuple[Tensor, Tensor], values: tuple[Tensor, Tensor]
    ) -> Sequence:
        """Attends to `[persistent || h || S]`; `h_j` stands at the position of token `j`."""
        time, earlier = queries.shape[2], keys[1].shape[2] - queries.shape[2]
        mask = causal_mask(time, earlier, queries.device).repeat(1, 2)
        both = torch.cat([rotate(k) for k in keys], dim=2)
        mixed = attend(
            rotate(queries, earlier), both, torch.cat(values, dim=2), mask, tuple(self.persistent)
        )
        return self.attended(merge_heads(mixed))


def _append(seen: tuple[Tensor, ...], new: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
    one, two = (torch.cat(pair, dim=2) for pair in zip(seen, new, strict=True))
    return one, two
