"""Linear attention whose weights are the second-order expansion of exp (arXiv:2402.18668, 4.1).

    y_t = sum_{s<=t} w(q_t, k_s) v_s / sum_{s<=t} w(q_t, k_s)        w = 1 + a + a^2 / 2

with `a = <q, k> / sqrt(dim)`. A weight is never below 1/2, and is an inner product of `features`,
so that the sums over the past are a state of fixed size.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from titans.shapes import HeadSequence

State = Float[Tensor, "batch heads features sums"]


def features(x: Float[Tensor, "*axes dim"]) -> Float[Tensor, "*axes features"]:
    """`phi` with `<phi(q), phi(k)> = w(q, k)`, of `1 + dim + dim (dim + 1) / 2` channels.

    `x_i x_j` and `x_j x_i` are one feature, which counts twice.
    """
    dim = x.shape[-1]
    x = x * dim**-0.25
    row, column = torch.triu_indices(dim, dim, device=x.device)
    halved = (1 + (row == column)).to(x.dtype).rsqrt()
    return torch.cat([torch.ones_like(x[..., :1]), x, halved * x[..., row] * x[..., column]], -1)


def chunked(
    queries: HeadSequence,
    keys: HeadSequence,
    values: Float[Tensor, "batch heads time out"],
    state: State | None = None,
    *,
    chunk_size: int = 64,
) -> tuple[Float[Tensor, "batch heads time out"], State]:
    """Weights within a chunk, features between chunks.

    Args:
        queries: `[batch, heads, time, dim]`; any time, 0 included.
        keys: likewise.
        values: `[batch, heads, time, out]`.
        state: the sums before the first token; None for zero.
        chunk_size: tokens whose weights are computed pair by pair.

    Returns:
        Outputs `[batch, heads, time, out]` and, `[batch, heads, features, out + 1]`, the sums of
        `phi(k) v^T` and of `phi(k)` after the last token, in float32 or better.
    """
    dtype, time = values.dtype, values.shape[2]
    size = max(1, min(chunk_size, time))
    with torch.autocast(values.device.type, enabled=False):
        precise = torch.promote_types(dtype, torch.float32)
        # The channel of ones sums the weights; beyond the end it is 0, and nothing is written.
        parts = (queries, keys, F.pad(values, (0, 1), value=1.0))
        q, k, v = (
            F.pad(x.to(precise), (0, 0, 0, -time % size)).unflatten(2, (-1, size)) for x in parts
        )
        written = features(k).mT @ v
        if state is None:
            state = torch.zeros_like(written[:, :, :1]).sum(dim=2)
        states = torch.cat([state[:, :, None], written], dim=2).cumsum(dim=2)
        scores = q @ k.mT * k.shape[-1] ** -0.5
        within = (1 + scores + scores.square() / 2).tril() @ v
        sums = (features(q) @ states[:, :, :-1] + within).flatten(2, 3)[:, :, :time]
        # A copy, so that the states of all chunks are not kept with the last one.
        return (sums[..., :-1] / sums[..., -1:]).to(dtype), states[:, :, -1].clone()
