"""The selective state space of Mamba, S6 (arXiv:2312.00752, section 3).

    h_t = exp(dt_t A) h_{t-1} + dt_t B_t x_t        y_t = C_t h_t + D x_t

with a state `h` of `[channels, state]` a sequence: each channel has decays of its own, and reads
and writes along the directions `C_t` and `B_t` that all channels share.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from titans.ops.diagonal_recurrence import LANE, diagonal_recurrence

Channels = Float[Tensor, "batch time channels"]
Directions = Float[Tensor, "batch time state"]
State = Float[Tensor, "batch channels state"]


def recurrent(
    x: Channels,
    dt: Channels,
    A: Float[Tensor, "channels state"],
    B: Directions,
    C: Directions,
    D: Float[Tensor, " channels"],
    state: State | None = None,
) -> tuple[Channels, State]:
    """The equations, one token after the other.

    Args:
        x: `[batch, time, channels]`; any time, 0 included.
        dt: sizes of the steps, `[batch, time, channels]`, >= 0.
        A: rates of decay, `[channels, state]`, < 0.
        B: how a token is written, `[batch, time, state]`.
        C: how it reads, `[batch, time, state]`.
        D: the share of `x` that passes by, `[channels]`.
        state: `h` before the first token, `[batch, channels, state]`; None for zero.

    Returns:
        Outputs `[batch, time, channels]` and `h` after the last token, in float32 or better.
    """
    with torch.autocast(x.device.type, enabled=False):
        h = _start(x, A, state)
        written, dt, B, C = (z.to(h.dtype) for z in (x, dt, B, C))
        outputs = [written[:, :0]]
        tokens = zip(*(z.unbind(dim=1) for z in (written, dt, B, C)), strict=True)
        for x_t, dt_t, B_t, C_t in tokens:
            h = torch.exp(dt_t[..., None] * A) * h + (dt_t * x_t)[..., None] * B_t[:, None]
            y_t = (h @ C_t[..., None]).squeeze(-1) + D * x_t
            outputs.append(y_t[:, None])
        return torch.cat(outputs, dim=1).to(x.dtype), h


def chunked(
    x: Channels,
    dt: Channels,
    A: Float[Tensor, "channels state"],
    B: Directions,
    C: Directions,
    D: Float[Tensor, " channels"],
    state: State | None = None,
    *,
    chunk_size: int = 128,
) -> tuple[Channels, State]:
    """As `recurrent`, a chunk at a time.

    The states of one chunk, `[batch, chunk_size, channels, state]`, are the largest tensor there
    ever is: what is kept for the backward pass is the state before each chunk.

    Raises:
        ValueError: `chunk_size` is not a multiple of `LANE`.
    """
    if chunk_size < 1 or chunk_size % LANE:
        raise ValueError(f"a chunk of {chunk_size} tokens: set a multiple of {LANE}")
    time = x.shape[1]
    if time < LANE:
        return recurrent(x, dt, A, B, C, D, state)
    with torch.autocast(x.device.type, enabled=False):
        h = _start(x, A, state)
        # A token with dt = 0 writes nothing and forgets nothing.
        padded = [F.pad(z.to(h.dtype), (0, 0, 0, -time % LANE)) for z in (x, dt, B, C)]
        outputs = []
        for pieces in zip(*(z.split(chunk_size, dim=1) for z in padded), strict=True):
            y, h = checkpoint(_chunk, *pieces, A, h, use_reentrant=False, preserve_rng_state=False)
            outputs.append(y)
        return (torch.cat(outputs, dim=1)[:, :time] + D * padded[0][:, :time]).to(x.dtype), h


def _chunk(
    x: Tensor, dt: Tensor, B: Tensor, C: Tensor, A: Tensor, state: Tensor
) -> tuple[Tensor, Tensor]:
    """`C_t h_t` of a chunk, and its last state."""
    written = (dt * x)[..., None] * B[:, :, None]
    states = diagonal_recurrence(torch.exp(dt[..., None] * A), written, state)
    # A copy, so that the states of the whole chunk are not kept with the last one.
    return (states @ C[..., None]).squeeze(-1), states[:, -1].clone()


def _start(x: Tensor, A: Tensor, state: Tensor | None) -> Tensor:
    if state is not None:
        return state
    return x.new_zeros(len(x), *A.shape, dtype=torch.promote_types(x.dtype, torch.float32))
