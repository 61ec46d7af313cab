"""Linear attention whose state decays: the recurrence of RetNet, GLA, HGRN2 and Mamba2.

A head keeps one matrix, and token `t` adds to it before it is read:

    S_t = diag(exp(g_t)) S_{t-1} + k_t v_t^T        y_t = S_t^T q_t

with a log decay `g_t <= 0` that is one number a head (arXiv:2307.08621, 2405.21060) or one a
channel of the key (arXiv:2312.06635, 2404.07904).
"""

import torch
from jaxtyping import Float
from torch import Tensor

from titans.ops.kernels import wanted
from titans.ops.linear_attention_chunked import chunked
from titans.shapes import HeadSequence


def linear_attention(
    queries: Float[Tensor, "batch groups time dim"],
    keys: Float[Tensor, "batch groups time dim"],
    values: Float[Tensor, "batch heads time out"],
    log_decay: Float[Tensor, "#batch heads time *dim"],
    state: Float[Tensor, "batch heads dim out"] | None = None,
    *,
    chunk_size: int = 64,
) -> tuple[Float[Tensor, "batch heads time out"], Float[Tensor, "batch heads dim out"]]:
    """Writes a sequence into the state and reads token `t` from `S_t`, by the fastest form.

    Args:
        queries: `[batch, groups, time, dim]`; any time, 0 included. Each group serves
            `heads / groups` heads in a row.
        keys: as `queries`.
        values: `[batch, heads, time, out]`.
        log_decay: `g <= 0`, `[batch, heads, time]`, or `[batch, heads, time, dim]` for a decay per
            channel of the key; a batch of 1 serves all.
        state: `S` before the first token; None for zeros.
        chunk_size: tokens that are computed at once. The result does not depend on it.

    Returns:
        Outputs `[batch, heads, time, out]` in the type of the values, and the state after the last
        token, in float32 or better.
    """
    # The kernels have no float64 and no empty sequence.
    if wanted(queries) and queries.dtype != torch.float64 and queries.shape[2]:
        return _kernel(queries, keys, values, log_decay, state)
    return chunked(queries, keys, values, log_decay, state, chunk_size=chunk_size)


def recurrent(
    queries: Float[Tensor, "batch groups time dim"],
    keys: Float[Tensor, "batch groups time dim"],
    values: Float[Tensor, "batch heads time out"],
    log_decay: Float[Tensor, "#batch heads time *dim"],
    state: Float[Tensor, "batch heads dim out"] | None = None,
) -> tuple[Float[Tensor, "batch heads time out"], Float[Tensor, "batch heads dim out"]]:
    """The equations token by token; arguments and results are those of `linear_attention`."""
    batch, heads, time, out = values.shape
    queries, keys = _for_each_head(queries, heads), _for_each_head(keys, heads)
    decay = (log_decay if log_decay.dim() == 4 else log_decay[..., None]).exp()
    if state is None:
        precise = torch.promote_types(values.dtype, torch.float32)
        state = torch.zeros(batch, heads, keys.shape[-1], out, dtype=precise, device=values.device)
    outputs = [values[:, :, :0]]
    for t in range(time):
        written = keys[:, :, t, :, None] * values[:, :, t, None, :]
        state = decay[:, :, t, :, None] * state + written
        read = (queries[:, :, t, :, None] * state).sum(-2, keepdim=True)
        outputs.append(read.to(values.dtype))
    return torch.cat(outputs, dim=2), state


def _kernel(
    queries: Tensor, keys: Tensor, values: Tensor, log_decay: Tensor, state: Tensor | None
) -> tuple[HeadSequence, Tensor]:
    """The same by flash-linear-attention, which puts time before heads."""
    from fla.ops.gla import chunk_gla
    from fla.ops.simple_gla import chunk_simple_gla

    batch, heads = values.shape[:2]
    queries, keys = (_for_each_head(x, heads).to(values.dtype) for x in (queries, keys))
    log_decay = log_decay.float().expand(batch, *log_decay.shape[1:])
    inputs = (x.transpose(1, 2).contiguous() for x in (queries, keys, values, log_decay))
    attend = chunk_gla if log_decay.dim() == 4 else chunk_simple_gla
    state = None if state is None else state.contiguous()
    outputs, state = attend(*inputs, scale=1.0, initial_state=state, output_final_state=True)
    return outputs.transpose(1, 2), state


def _for_each_head(x: Tensor, heads: int) -> Tensor:
    """`[batch, groups, ...]` to `[batch, heads, ...]`."""
    return x.repeat_interleave(heads // x.shape[1], dim=1)
