"""The long-term memory as a layer: projections, gates, one memory a head, normalised output."""

from collections.abc import Callable
from functools import cache, partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from titans.memory.blockwise import Map, blockwise
from titans.memory.checks import at_least
from titans.memory.dual import memorize
from titans.memory.gates import Gates, gate_means
from titans.memory.network import (
    PLAIN,
    MemoryNetwork,
    MemoryState,
    initial_weights,
    layer_widths,
)
from titans.memory.precise import precise
from titans.memory.projection import Projection, merge_heads, split_heads
from titans.memory.stream import continued
from titans.shapes import HeadSequence, Sequence


class Written(NamedTuple):
    """What tokens write: `[batch, heads, time, dim]` twice, and three gates."""

    keys: Tensor
    values: Tensor
    forget: Tensor
    momentum: Tensor
    step: Tensor


class NeuralMemoryState(NamedTuple):
    """What continues a sequence at any token.

    Attributes:
        memory: weights and momentum where the unfinished chunk begins.
        pending: what the unfinished chunk writes, fewer than `chunk_size` tokens.
        past: the last inputs of the convolutions.
    """

    memory: MemoryState
    pending: Written
    past: Tensor


class NeuralMemory(nn.Module):
    """A memory that learns while it reads (v1, section 3).

    Args:
        dim: width of input and output.
        heads: memories side by side, each on `dim / heads` channels.
        depth: layers of each memory, `L_M`.
        expansion: width of its hidden layers over its input.
        chunk_size: tokens that share the point where gradients are taken.
        convolution: width of the causal convolutions on q, k and v; 0 for none.
        clip: bound on the gradient of one token in one layer of the memory; None for none.
        gates: makes the gates, given `dim`, `heads` and `chunk_size`.
        network: what the weights of the memory mean.

    Raises:
        ValueError: `heads` does not divide `dim`, a size is below 1, `clip` lets nothing through,
            or the gates are for another number of layers.
    """

    def __init__(
        self,
        dim: int,
        *,
        heads: int = 4,
        depth: int = 2,
        expansion: float = 2.0,
        chunk_size: int = 16,
        convolution: int = 4,
        clip: float | None = 4.0,
        gates: Callable[[int, int, int], Gates] = Gates,
        network: MemoryNetwork = PLAIN,
    ) -> None:
        super().__init__()
        at_least(1, heads=heads, chunk_size=chunk_size)
        if dim % heads:
            raise ValueError(f"{heads} heads do not divide a width of {dim}")
        self.heads, self.chunk_size, self.clip, self.network = heads, chunk_size, clip, network
        self.projection = Projection(dim, 3 * dim, convolution=convolution)
        if clip is not None and not clip > 0:
            raise ValueError(f"clip={clip} writes nothing: set a number above 0, or null for none")
        widths = layer_widths(dim // heads, depth, expansion)
        self.gates = gates(dim, heads, chunk_size)
        if self.gates.shape[-1] not in (1, depth):
            raise ValueError(
                f"{self.gates.shape[-1]} gates a token for a memory of {depth} layers: "
                f"set gates.layers to 1 or {depth}"
            )
        self.initial = initial_weights(heads, widths)
        self.norm = nn.RMSNorm(dim // heads)
        self.output_gate = nn.Linear(dim, dim, bias=False)
        self.output = nn.Linear(dim, dim, bias=False)
        self.log: dict[str, Tensor] = {}

    def start(self, batch: int) -> MemoryState:
        """The learned `M_0` and a momentum of zero, for each sequence of a batch."""
        learned = (w.to(precise(w.dtype)) for w in self.initial)
        weights = tuple(w.expand(batch, *w.shape) for w in learned)
        return MemoryState(weights, tuple(torch.zeros_like(w) for w in weights))

    def forward(
        self, x: Sequence, state: NeuralMemoryState | None = None
    ) -> tuple[Sequence, NeuralMemoryState]:
        """Writes each token, and reads `M_t(q_t)` after it. `[batch, time, dim]` to the same.

        Args:
            x: the tokens; any time, 0 included.
            state: what an earlier call returned, to continue its sequence.
        """
        parts, past = self.projection.then(_splitting(self.heads), x, state.past if state else None)
        queries, keys, values = parts
        # What accumulates over a sequence does so in float32, whatever the rest is computed in.
        with torch.autocast(x.device.type, enabled=False):
            written = Written(keys, values, *self.gates(x))
            self.log = gate_means(written[2:])
            run = partial(
                memorize, chunk_size=self.chunk_size, clip=self.clip, network=self.network
            )
            outputs, memory, pending = continued(
                run,
                queries,
                written,
                state.pending if state else None,
                state.memory if state else self.start(len(x)),
                self.chunk_size,
            )
            self.log["memory_norm"] = _norm(memory)
        return self._emit(outputs, x), NeuralMemoryState(memory, Written(*pending), past)

    def _emit(self, outputs: Float[Tensor, "batch heads time head"], x: Sequence) -> Sequence:
        """Normalises each head, gates by the token, and projects."""
        (gated,) = blockwise(_gated, [outputs, self.output_gate(x)], [self.norm.weight])
        return self.output(gated)


@cache
def _splitting(heads: int) -> Map:
    """What makes queries, keys and values of each head from a projection."""

    def split(projected: Tensor) -> tuple[Tensor, ...]:
        queries, keys, values = (split_heads(p, heads) for p in projected.chunk(3, dim=-1))
        return _unit(queries), _unit(keys), values

    return split


def _gated(outputs: Tensor, gate: Tensor, scale: Tensor) -> tuple[Tensor]:
    """`norm(outputs) silu(gate)`, heads side by side."""
    normed = F.rms_norm(outputs, scale.shape, scale.to(outputs.dtype))
    return (merge_heads(normed).to(gate.dtype) * F.silu(gate),)


def _unit(x: HeadSequence) -> HeadSequence:
    """Each vector at length 1, which is measured in float32 or better."""
    length = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=precise(x.dtype))
    return (x / length.clamp_min(1e-12)).to(x.dtype)


def _norm(memory: MemoryState) -> Tensor:
    """Mean Frobenius norm of the weights of a memory, all layers together."""
    squares = sum(w.detach().square().sum((-2, -1)) for w in memory.weights)
    return torch.as_tensor(squares).sqrt().mean()
