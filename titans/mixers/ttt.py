"""TTT: a memory trained by gradient descent, without momentum and without forgetting."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from titans.memory import GELU, MemoryNetwork, MemoryState, Projection, memorize
from titans.memory.checks import at_least, positive
from titans.memory.network import initial_weights, layer_widths
from titans.memory.precise import PreciseLinear, precise
from titans.memory.projection import merge_heads, split_heads
from titans.memory.stream import continued
from titans.mixers.attention import check_heads
from titans.mixers.mixer import Mixer
from titans.ops.rotary import rotate
from titans.shapes import Gate, HeadSequence, Sequence

NETWORK = MemoryNetwork(residual=True, normalise=True, activation=GELU)


class TTTState(NamedTuple):
    """What continues a sequence at any token.

    Attributes:
        weights: the inner network where the unfinished mini-batch begins.
        pending: keys, values and learning rates of the unfinished mini-batch.
        past: the last inputs of the convolutions.
    """

    weights: tuple[Float[Tensor, "batch heads out in"], ...]
    pending: tuple[Tensor, ...]
    past: Tensor


class TTT(Mixer):
    """TTT-MLP, or TTT-Linear with `depth=1` (arXiv:2407.04620).

    The inner network `f(k) = k + LN(W_2 gelu(W_1 k))` learns the values from the keys: token `t`
    steps by `eta_t` along the gradient of `||f(k_t) - v_t||^2` where its mini-batch began, and
    `f(q_t)` is read after the step. What differs from the authors' code: FIDELITY.md, "TTT".

    Args:
        dim: width of input and output.
        heads: inner networks side by side, each on `dim / heads` channels.
        depth: layers of the inner network.
        expansion: width of its hidden layer over its input.
        chunk_size: tokens of a mini-batch.
        base_lr: bound on `eta` times the channels of a head; the paper's is 0.1 for the MLP, 1
            for the linear network.
        convolution: width of the causal convolutions on q, k and v; 0 for none.

    Raises:
        ValueError: `heads` do not fit `dim`, a size is below 1, or `base_lr` is not above 0.
    """

    def __init__(
        self,
        dim: int,
        *,
        heads: int = 4,
        depth: int = 2,
        expansion: float = 4.0,
        chunk_size: int = 16,
        base_lr: float = 0.1,
        convolution: int = 4,
    ) -> None:
        super().__init__()
        check_heads(dim, heads)
        positive(base_lr=base_lr)
        at_least(1, chunk_size=chunk_size)
        head = dim // heads
        widths = layer_widths(head, depth, expansion)
        self.heads, self.chunk_size, self.max_lr = heads, chunk_size, base_lr / head
        self.projection = Projection(dim, 3 * dim, convolution=convolution, activation=False)
        self.learning_rate = PreciseLinear(dim, heads)
        self.initial = initial_weights(heads, widths)
        self.norm = nn.LayerNorm(dim)
        self.output_gate = nn.Linear(dim, dim, bias=False)
        self.output = nn.Linear(dim, dim, bias=False)

    def forward(self, x: Sequence, state: TTTState | None = None) -> tuple[Sequence, TTTState]:
        """Trains on each token, and reads `f(q_t)` after it. `[batch, time, dim]` to the same.

        Args:
            x: the tokens; any time, 0 included.
            state: what an earlier call returned, to continue its sequence.
        """
        projected, past = self.projection(x, state.past if state else None)
        # What accumulates over a sequence does so in float32, whatever the rest is computed in.
        with torch.autocast(x.device.type, enabled=False):
            dtype = precise(x.dtype)
            parts = projected.to(dtype).chunk(3, dim=-1)
            queries, *pair = (split_heads(p, self.heads) for p in parts)
            written = *pair, self._step(x.to(dtype))
            read, weights, pending = continued(
                self._descend,
                queries,
                written,
                state.pending if state else None,
                state.weights if state else self._start(len(x), dtype),
                self.chunk_size,
            )
        merged = merge_heads(read).to(x.dtype)
        y = self.output(self.norm(merged) * F.gelu(self.output_gate(x)))
        # Copies, so that no momentum is kept with the weights.
        return y, TTTState(tuple(w.clone() for w in weights), pending, past)

    def _start(self, batch: int, dtype: torch.dtype) -> tuple[Tensor, ...]:
        """The learned `W_0`, for each sequence of a batch."""
        return tuple(w.to(dtype).expand(batch, *w.shape) for w in self.initial)

    def _step(self, x: Sequence) -> Gate:
        """`eta` of every token and head, computed as precisely as `x` is given."""
        return self.max_lr * self.learning_rate(x).sigmoid().mT

    def _descend(
        self,
        queries: HeadSequence,
        keys: HeadSequence,
        values: HeadSequence,
        step: Gate,
        weights: tuple[Tensor, ...],
    ) -> tuple[HeadSequence, tuple[Tensor, ...]]:
        """The memory's own recurrence, with both of its other gates at 0."""
        zero, still = torch.zeros_like(step), tuple(torch.zeros_like(w) for w in weights)
        outputs, after = memorize(
            self._place(queries),
            self._place(keys),
            values,
            forget=zero,
            momentum=zero,
            step=step,
            state=MemoryState(weights, still),
            chunk_size=self.chunk_size,
            network=NETWORK,
        )
        return outputs, after.weights

    def _place(self, x: Tensor) -> HeadSequence:
        """Rotates by the position inside a mini-batch."""
        time, size = x.shape[2], self.chunk_size
        chunks = -(-time // size)
        padded = F.pad(x, (0, 0, 0, chunks * size - time))
        return rotate(padded.unflatten(2, (chunks, size))).flatten(2, 3)[:, :, :time]
