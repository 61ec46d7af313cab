"""Softmax attention, full or over a sliding window, with a persistent prefix always in view."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from titans.memory.checks import at_least
from titans.memory.projection import Projection, merge_heads, split_heads
from titans.mixers.mixer import Mixer
from titans.ops.rotary import rotate
from titans.shapes import HeadSequence, Sequence


class AttentionState(NamedTuple):
    """Keys and values still in view, and the past of the convolutions.

    The keys are rotated where all of them stay in view, and not yet where a window moves on.
    """

    keys: HeadSequence
    values: HeadSequence
    past: Tensor


class Attention(Mixer):
    """Causal attention; positions by rotation.

    With a window they are relative to it and never grow with the stream; without, they count from
    its beginning.

    Args:
        dim: width of input and output.
        heads: attention heads.
        window: how many tokens a query sees, itself included; None for all.
        persistent: learned tokens that every query sees besides, `N_p`.
        convolution: width of the causal convolutions on q, k and v; 0 for none.

    Raises:
        ValueError: `heads` do not fit `dim`, `window` is below 1 or `persistent` below 0.
    """

    def __init__(
        self,
        dim: int,
        *,
        heads: int = 4,
        window: int | None = None,
        persistent: int = 0,
        convolution: int = 4,
    ) -> None:
        super().__init__()
        check_heads(dim, heads)
        at_least(0, persistent=persistent)
        if window is not None and window < 1:
            raise ValueError(f"a window of {window} tokens sees nothing: set 1 or more")
        self.heads, self.window = heads, window
        self.projection = Projection(dim, 3 * dim, convolution=convolution, activation=False)
        prefix = torch.randn(2, heads, persistent, dim // heads) * 0.02
        self.persistent: Tensor
        if persistent:
            self.persistent = nn.Parameter(prefix)
        else:
            # An empty parameter would never have a gradient, and distributed training waits for it.
            self.register_buffer("persistent", prefix, persistent=False)
        self.output = nn.Linear(dim, dim, bias=False)

    def forward(
        self, x: Sequence, state: AttentionState | None = None
    ) -> tuple[Sequence, AttentionState]:
        """Attends from each token to those in view. `[batch, time, dim]` to the same."""
        projected, past = self.projection(x, state.past if state else None)
        queries, keys, values = (split_heads(p, self.heads) for p in projected.chunk(3, dim=-1))
        if self.window is None:
            keys = rotate(keys, state.keys.shape[2] if state else 0)
        if state:
            keys = torch.cat([state.keys, keys], dim=2)
            values = torch.cat([state.values, values], dim=2)
        elif self.window is None:
            # A copy, so that queries and keys are not kept with the values.
            values = values.clone()
        if self.window is None:
            mixed = self._full(queries, keys, values)
        else:
            mixed = self._sliding(queries, keys, values, self.window)
            seen = max(0, keys.shape[2] - self.window + 1)
            # Copies, so that the keys out of view are not kept with those in view.
            keys, values = keys[:, :, seen:].clone(), values[:, :, seen:].clone()
        return self.output(merge_heads(mixed)), AttentionState(keys, values, past)

    def _full(self, queries: Tensor, keys: Tensor, values: Tensor) -> HeadSequence:
        """Positions count from the beginning; the keys have theirs already."""
        time = queries.shape[2]
        earlier = keys.shape[2] - time
        turned = rotate(queries, earlier)
        if not self.persistent.shape[2] and (not earlier or time == 1):
            return F.scaled_dot_product_attention(turned, keys, values, is_causal=time > 1)
        mask = causal_mask(time, earlier, queries.device)
        return self._attend(queries, turned, keys, values, mask)

    def _sliding(self, queries: Tensor, keys: Tensor, values: Tensor, window: int) -> HeadSequence:
        """Cuts the queries into blocks of a window; each sees its own block and the one before."""
        batch, heads, time, width = queries.shape
        if time == 0:
            return queries
        size = min(window, time)
        blocks = -(-time // size)
        after, before = blocks * size - time, window - 1 - (keys.shape[2] - time)
        span = window - 1 + size
        queries = F.pad(queries, (0, 0, 0, after)).reshape(batch, heads, blocks, size, width)
        keys, values = (
            F.pad(x, (0, 0, before, after)).unfold(2, span, size).mT for x in (keys, values)
        )
        row = torch.arange(size, device=queries.device)[:, None]
        column = torch.arange(span, device=queries.device)
        in_view = (row <= column) & (column < row + window)
        exists = torch.arange(blocks, device=row.device)[:, None, None] * size + column >= before
        mask = (in_view & exists)[:, None]
        # The flash kernel takes four axes and no more; sequences, which all have one mask, stand
        # beside the heads.
        queries, keys, values = (x.movedim(2, 0).flatten(1, 2) for x in (queries, keys, values))
        mixed = self._attend(queries, rotate(queries, window - 1), rotate(keys), values, mask)
        mixed = mixed.unflatten(1, (batch, heads)).movedim(0, 2)
        return mixed.flatten(2, 3)[:, :, :time]

    def _attend(
        self, queries: Tensor, turned: Tensor, keys: Tensor, values: Tensor, mask: Tensor
    ) -> HeadSequence:
        """Attention from the `turned` queries to keys that are rotated, and to persistent ones."""
        if not self.persistent.shape[2]:
            return F.scaled_dot_product_attention(turned, keys, values, attn_mask=mask)
        # Persistent keys have no position: they meet the query in channels that are not rotated.
        width = queries.shape[-1]
        queries = torch.cat([turned, queries], dim=-1)
        keys, values = (F.pad(x, (0, width)) for x in (keys, values))
        # As many copies as there are sequences beside the heads.
        copies = self.persistent.repeat(1, keys.shape[1] // self.heads, 1, 1)
        prefix = F.pad(copies[0], (width, 0)), F.pad(copies[1], (0, width))
        return attend(queries, keys, values, mask, prefix, scale=width**-0.5)[..., :width]


def check_heads(dim: int, heads: int) -> None:
    """Refuses heads that cannot be cut or rotated.

    Raises:
        ValueError: there is none, they do not divide the width, or leave an odd number of channels.
    """
    at_least(1, heads=heads)
    if dim % heads or (dim // heads) % 2:
        raise ValueError(f"{heads} heads do not cut a width of {dim} into even parts")


def causal_mask(time: int, earlier: int, device: torch.device) -> Bool[Tensor, "time all"]:
    """True where a query may look: at the `earlier` tokens and at those up to itself."""
    mask = torch.ones(time, earlier + time, dtype=torch.bool, device=device)
    return mask.tril(earlier)


def attend(
    queries: Float[Tensor, "*axes time dim"],
    keys: Float[Tensor, "*axes all dim"],
    values: Float[Tensor, "*axes all dim"],
    mask: Bool[Tensor, "*#axes time all"],
    persistent: tuple[Tensor, ...],
    scale: float | None = None,
) -> Float[Tensor, "*axes time dim"]:
    """Softmax attention in which the persistent (keys, values) are in view of every query."""
    prefix = [p.to(keys.dtype).expand(*keys.shape[:-2], -1, -1) for p in persistent]
    mask = F.pad(mask, (prefix[0].shape[-2], 0), value=True)
    keys, values = torch.cat([prefix[0], keys], -2), torch.cat([prefix[1], values], -2)
    return F.scaled_dot_product_attention(queries, keys, values, attn_mask=mask, scale=scale)
