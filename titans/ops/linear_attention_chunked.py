"""Linear attention with decay in matrix products, one state a chunk instead of one a token.

Within a chunk of `C` tokens that begins at the state `S`,

    y_t = (q_t * e^{before_t})^T S + sum_{s<=t} <q_t, k_s * e^{g_{s+1} + .. + g_t}> v_s
    S'  = diag(e^{before_C}) S + sum_s (k_s * e^{after_s}) v_s^T

with `before_t = g_1 + .. + g_t` and `after_s = g_{s+1} + .. + g_C`. No exponent is above 0.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F


def chunked(
    queries: Float[Tensor, "batch groups time dim"],
    keys: Float[Tensor, "batch groups time dim"],
    values: Float[Tensor, "batch heads time out"],
    log_decay: Float[Tensor, "#batch heads time *dim"],
    state: Float[Tensor, "batch heads dim out"] | None = None,
    *,
    chunk_size: int = 64,
) -> tuple[Float[Tensor, "batch heads time out"], Float[Tensor, "batch heads dim out"]]:
    """Arguments and results are those of `linear_attention`.

    A `chunk_size` that is no power of 2 is rounded up to one.

    Raises:
        ValueError: `chunk_size` is below 1.
    """
    if chunk_size < 1:
        raise ValueError(f"chunk_size={chunk_size}: set it to 1 or more")
    batch, heads, time, out = values.shape
    groups, dim = queries.shape[1], queries.shape[-1]
    precise = torch.promote_types(values.dtype, torch.float32)
    if state is None:
        state = torch.zeros(batch, heads, dim, out, dtype=precise, device=values.device)
    if not time:
        return values, state
    decay = log_decay if log_decay.dim() == 4 else log_decay[..., None]
    size = 1 << (min(chunk_size, time) - 1).bit_length()
    q, k, v, g = (
        F.pad(x.to(precise), (0, 0, 0, -time % size))
        .unflatten(2, (-1, size))
        .unflatten(1, (groups, -1))
        for x in (queries, keys, values, decay)
    )
    with torch.autocast(values.device.type, enabled=False):
        outputs, state = _chunks(q, k, v, g, state.to(precise).unflatten(1, (groups, -1)))
    outputs = outputs.flatten(1, 2).flatten(2, 3)[:, :, :time]
    return outputs.to(values.dtype), state.flatten(1, 2)


def _chunks(
    queries: Tensor, keys: Tensor, values: Tensor, log_decay: Tensor, state: Tensor
) -> tuple[Tensor, Tensor]:
    """Outputs `[batch, groups, heads, chunks, C, out]`, and the state after the last chunk."""
    if log_decay.shape[-1] == 1:
        one = torch.ones_like(log_decay)
        kept, before, after = _scores(one, one, log_decay)
        scores = (queries @ keys.mT) * kept
    else:
        scores, before, after = _scores(queries, keys, log_decay)
    writes = (keys * after.exp()).mT @ values
    states, state = _scan(writes, before[..., -1, :, None].exp(), state)
    return scores @ values + (queries * before.exp()) @ states, state


def _scores(queries: Tensor, keys: Tensor, log_decay: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """`<q_t, k_s * e^{g_{s+1} + .. + g_t}>` where `s <= t`, else 0, and `before` and `after`.

    Joins neighbouring blocks until one is left. A query of the later block meets the keys of the
    earlier one at the border between them: neither factor's exponent is above 0, whatever the
    decay, and every sum has only the terms it should have, so that none cancel.
    """
    queries, keys, log_decay = torch.broadcast_tensors(queries, keys, log_decay)
    scores = (queries * keys).sum(-1)[..., None, None]
    queries, keys, before = queries[..., None, :], keys[..., None, :], log_decay[..., None, :]
    after = torch.zeros_like(before)
    while scores.shape[-3] > 1:
        (_, later), (earlier, _) = _halves(queries), _halves(keys)
        (before_1, before_2), (after_1, after_2) = _halves(before), _halves(after)
        cross = (later * before_2.exp()) @ (earlier * after_1.exp()).mT
        first, second = scores[..., ::2, :, :], scores[..., 1::2, :, :]
        upper = F.pad(first, (0, first.shape[-1]))
        scores = torch.cat([upper, torch.cat([cross, second], dim=-1)], dim=-2)
        total_1, total_2 = before_1[..., -1:, :], before_2[..., -1:, :]
        before = torch.cat([before_1, total_1 + before_2], dim=-2)
        after = torch.cat([after_1 + total_2, after_2], dim=-2)
        queries, keys = (x.unflatten(-3, (-1, 2)).flatten(-3, -2) for x in (queries, keys))
    return scores[..., 0, :, :], before[..., 0, :, :], after[..., 0, :, :]


def _halves(x: Tensor) -> tuple[Tensor, Tensor]:
    """Every other block of `[..., blocks, size, dim]`, the earlier and the later."""
    return x[..., ::2, :, :], x[..., 1::2, :, :]


def _scan(writes: Tensor, decay: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    """The state before each chunk, and the one after the last; chunks are on axis 3."""
    states = []
    for written, kept in zip(writes.unbind(3), decay.unbind(3), strict=True):
        states.append(state)
        state = torch.addcmul(written, kept, state)
    return torch.stack(states, dim=3), state
