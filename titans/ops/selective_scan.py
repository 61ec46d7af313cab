"""The selective state space of Mamba, S6 (arXiv:2312.00752, section 3).

    h_t = exp(dt_t A) h_{t-1} + dt_t B_t x_t        y_t = C_t h_t + D x_t

with a state `h` of `[channels, state]` a sequence: each channel has decays of its own, and reads
and writes along the directions `C_t` and `B_t` that all channels share.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from titans.ops.selective_scan_lanes import scan_lanes

CACHED, WIDE = 2**16, 2**22
"""Numbers that the states of all lanes should have: what a processor caches, what a GPU needs."""
SHORT = 16
"""Tokens that a lane should have at least."""

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
    chunk_size: int = 32,
    lanes: int | None = None,
) -> tuple[Channels, State]:
    """As `recurrent`, over several lanes of the sequence side by side.

    `chunk_size` tokens of a lane lie between two states that are kept for the backward pass. A
    sequence is cut into `lanes`; None for as many as keep the device busy.

    Raises:
        ValueError: `chunk_size` or `lanes` is below 1.
    """
    batch, time, channels = x.shape
    if lanes is None:
        wide = (WIDE if x.is_cuda else CACHED) // max(batch * A.numel(), 1)
        lanes = max(1, min(wide, time // SHORT))
    if min(chunk_size, lanes) < 1:
        raise ValueError(f"chunk_size={chunk_size}, lanes={lanes}: set both to 1 or more")
    with torch.autocast(x.device.type, enabled=False):
        h = _start(x, A, state)
        inputs, dt, B, C = (z.to(h.dtype) for z in (x, dt, B, C))

        def cut(z: Tensor) -> Tensor:
            # A token with dt = 0 writes nothing and forgets nothing.
            z = F.pad(z, (0, 0, 0, -time % lanes)).unflatten(1, (lanes, -1))
            return z.flatten(0, 1).transpose(0, 1).contiguous()

        y, h = scan_lanes(cut(dt * inputs), cut(dt), A, cut(B), cut(C), h, lanes, chunk_size)
        y = y.transpose(0, 1).reshape(batch, len(y) * lanes, channels)[:, :time]
        return (y + D * inputs).to(x.dtype), h


def _start(x: Tensor, A: Tensor, state: Tensor | None) -> Tensor:
    if state is not None:
        return state
    return x.new_zeros(len(x), *A.shape, dtype=torch.promote_types(x.dtype, torch.float32))
