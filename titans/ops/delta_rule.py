"""The delta rule: a matrix memory that replaces what it holds for a key, and may decay.

Per head, with `S` as `[dim, out]`, a decay `a_t` and a strength of writing `b_t`,

    S_t = (I - b_t k_t k_t^T) a_t S_{t-1} + b_t k_t v_t^T        y_t = q_t S_t

which is DeltaNet (arXiv:2406.06484) where `a_t = 1`, and Gated DeltaNet (arXiv:2412.06464).
"""

from functools import partial

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from titans.ops.kernels import wanted
from titans.shapes import HeadSequence

Values = Float[Tensor, "batch heads time out"]
Scalars = Float[Tensor, "batch heads time"]
State = Float[Tensor, "batch heads dim out"]


def delta_rule(
    queries: HeadSequence,
    keys: HeadSequence,
    values: Values,
    beta: Scalars,
    log_decay: Scalars | None = None,
    state: State | None = None,
    *,
    chunk_size: int = 32,
) -> tuple[Values, State]:
    """Writes each pair (key, value), and reads the query of token `t` from `S_t`.

    Args:
        queries: `[batch, heads, time, dim]`; any time, 0 included.
        keys: as `queries`, of norm 1 or less where the memory is not to grow.
        values: `[batch, heads, time, out]`.
        beta: `b` in [0, 1], `[batch, heads, time]`.
        log_decay: `log a` <= 0, likewise; None for no decay.
        state: `S` before the first token; None for zeros.
        chunk_size: tokens that are computed together; the result does not depend on it.

    Returns:
        Outputs `[batch, heads, time, out]` and `S` after the last token, in float32 or better.
    """
    # The kernel takes half precision only, and at least one token.
    half = values.dtype in (torch.bfloat16, torch.float16) and values.shape[2] > 0
    if half and wanted(queries):
        return _kernel(queries, keys, values, beta, log_decay, state)
    return chunked(queries, keys, values, beta, log_decay, state, chunk_size=chunk_size)


def recurrent(
    queries: HeadSequence,
    keys: HeadSequence,
    values: Values,
    beta: Scalars,
    log_decay: Scalars | None = None,
    state: State | None = None,
) -> tuple[Values, State]:
    """`delta_rule`, token by token."""
    queries, keys, wide, beta, log_decay, state = _precise(
        queries, keys, values, beta, log_decay, state
    )
    outputs = [wide[:, :, :0]]
    with torch.autocast(values.device.type, enabled=False):
        for t in range(values.shape[2]):
            query, key, value = (x[:, :, t, None] for x in (queries, keys, wide))
            state = log_decay[:, :, t, None, None].exp() * state
            error = beta[:, :, t, None, None] * (value - key @ state)
            state = state + key.mT @ error
            outputs.append(query @ state)
    return torch.cat(outputs, dim=2).to(values.dtype), state


def chunked(
    queries: HeadSequence,
    keys: HeadSequence,
    values: Values,
    beta: Scalars,
    log_decay: Scalars | None = None,
    state: State | None = None,
    *,
    chunk_size: int = 32,
) -> tuple[Values, State]:
    """`delta_rule`, by matrix products over chunks.

    With `D[t, j]` the decay from token `j` to `t` and `d_t` that from the start of the chunk, the
    memory inside a chunk is a sum of what its tokens wrote,

        S_t = d_t S_0 + sum_{j<=t} D[t, j] k_j u_j^T
        u_t = b_t (v_t - d_t k_t S_0 - sum_{j<t} D[t, j] <k_t, k_j> u_j)

    so that all `u` of a chunk solve one triangular system, whose right side is linear in `S_0`:
    `u = new - erased S_0`, where `new` and `erased` are solved for in all chunks at once.
    """
    time = values.shape[2]
    if chunk_size < 1:
        raise ValueError(f"chunk_size is {chunk_size}: a chunk has at least one token")
    size = max(1, min(chunk_size, time))
    *sequences, state = _precise(queries, keys, values, beta, log_decay, state)
    with torch.autocast(values.device.type, enabled=False):
        q, k, v, b, log = (_cut(x, size) for x in sequences)
        decay, since_start = _decays(log)
        system = b[..., None] * decay * (k @ k.mT)
        right = b[..., None] * torch.cat([v, since_start[..., None] * k], dim=-1)
        solved = torch.linalg.solve_triangular(system, right, upper=False, unitriangular=True)
        new, erased = solved.split([v.shape[-1], k.shape[-1]], dim=-1)
        at_end = decay[..., -1, :, None] * k
        starts, written, end = _carry(new, erased, at_end, since_start[..., -1], state)
        within = (q @ k.mT) * decay
        outputs = (since_start[..., None] * q) @ starts + within @ written
    joined = outputs.movedim(0, 1).flatten(1, 2)[:, :time]
    return joined.unflatten(0, values.shape[:2]).to(values.dtype), end.unflatten(
        0, values.shape[:2]
    )


def _carry(
    new: Tensor, erased: Tensor, at_end: Tensor, left: Tensor, state: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """From chunk to chunk: `S` before each of them, what its tokens write, and `S` at the end."""
    starts, written = [], []
    state = state.flatten(0, 1)
    for n, e, k, d in zip(new, erased, at_end, left, strict=True):
        starts.append(state)
        written.append(torch.baddbmm(n, e, state, alpha=-1))
        state = torch.baddbmm(d[:, None, None] * state, k.mT, written[-1])
    if not starts:
        return new.new_zeros(0, *state.shape), new, state
    return torch.stack(starts), torch.stack(written), state


def _decays(log: Tensor) -> tuple[Tensor, Tensor]:
    """Decay from each token to each later one, `[..., C, C]`, and from the start, `[..., C]`.

    Each span is summed by itself: differences of cumulative sums lose digits.
    """
    size = log.shape[-1]
    spans = log[..., :, None].expand(*log.shape, size).tril(-1).cumsum(-2)
    return spans.exp().tril(), log.cumsum(-1).exp()


def _cut(x: Tensor, size: int) -> Tensor:
    """`[batch, heads, time, ...]` to `[chunks, batch * heads, size, ...]`, zeros at the end."""
    x = x.flatten(0, 1)
    missing = -x.shape[1] % size
    x = F.pad(x, (*(0, 0) * (x.dim() - 2), 0, missing))
    return x.unflatten(1, (x.shape[1] // size, size)).movedim(1, 0)


def _precise(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    beta: Tensor,
    log_decay: Tensor | None,
    state: Tensor | None,
) -> tuple[Tensor, ...]:
    """All arguments in float32 or better, with the defaults filled in."""
    if log_decay is None:
        log_decay = torch.zeros_like(beta)
    if state is None:
        state = keys.new_zeros(*keys.shape[:2], keys.shape[-1], values.shape[-1])
    dtype = torch.promote_types(values.dtype, torch.float32)
    return tuple(x.to(dtype) for x in (queries, keys, values, beta, log_decay, state))


def _kernel(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    beta: Tensor,
    log_decay: Tensor | None,
    state: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """The kernels of flash-linear-attention, whose layout is `[batch, time, heads, dim]`."""
    from fla.ops.delta_rule import chunk_delta_rule
    from fla.ops.gated_delta_rule import chunk_gated_delta_rule

    q, k, v = (x.to(values.dtype).transpose(1, 2) for x in (queries, keys, values))
    run = chunk_delta_rule
    if log_decay is not None:
        run = partial(chunk_gated_delta_rule, g=log_decay.float().mT)
    state = state.float() if state is not None else None
    outputs, end = run(
        q=q, k=k, v=v, beta=beta.mT, scale=1.0, initial_state=state, output_final_state=True
    )
    return outputs.transpose(1, 2), end
