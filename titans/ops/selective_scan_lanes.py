"""The recurrence of a selective scan over lanes, with a backward pass of its own.

    h_t = exp(dt_t A) h_{t-1} + u_t B_t        y_t = C_t h_t

A sequence is cut into lanes that advance together, one token a step. All lanes first run from zero
to learn how each ends; the ends are carried from lane to lane, and all run again from their true
starts. Back, the gradients do the same from the end. States are kept once a chunk and computed
again, so that the tensors of a step stay in the processor's cache. Decays are only multiplied,
never divided: strong ones are exact.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable


def scan_lanes(
    u: Float[Tensor, "steps lanes channels"],
    dt: Float[Tensor, "steps lanes channels"],
    A: Float[Tensor, "channels state"],
    B: Float[Tensor, "steps lanes state"],
    C: Float[Tensor, "steps lanes state"],
    start: Float[Tensor, "batch channels state"],
    lanes: int,
    chunk_size: int,
) -> tuple[Float[Tensor, "steps lanes channels"], Float[Tensor, "batch channels state"]]:
    """Return every `y` and the last state.

    Args:
        u: what is written, a step of all lanes at a time; a sequence's lanes are neighbours.
        dt: sizes of the steps.
        A: rates of decay.
        B: how a token is written.
        C: how it reads.
        start: `h` before the first token of each sequence.
        lanes: of each sequence.
        chunk_size: steps between two states that are kept for the backward pass.
    """
    results: tuple[Tensor, Tensor] = _Scan.apply(u, dt, A, B, C, start, lanes, chunk_size)  # type: ignore[no-untyped-call]
    return results


class _Scan(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        u: Tensor,
        dt: Tensor,
        A: Tensor,
        B: Tensor,
        C: Tensor,
        start: Tensor,
        lanes: int,
        chunk_size: int,
    ) -> tuple[Tensor, Tensor]:
        kept = torch.exp(dt.sum(0)[..., None] * A)
        ends = start.new_zeros(kept.shape)
        if lanes > 1:
            for step in zip(u, dt, B, strict=True):
                _advance(ends, *step, A)
        h = _carry(kept, ends, start, lanes)
        y, starts = torch.empty_like(u), []
        for t, step in enumerate(zip(u, dt, B, strict=True)):
            if t % chunk_size == 0 and any(ctx.needs_input_grad):
                starts.append(h.clone())
            _advance(h, *step, A)
            torch.matmul(h, C[t, ..., None], out=y[t, ..., None])
        ctx.save_for_backward(u, dt, A, B, C, kept, *starts)
        ctx.lanes, ctx.chunk_size = lanes, chunk_size
        return y, h.unflatten(0, (len(start), lanes))[:, -1].clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, to_y: Tensor, to_last: Tensor) -> tuple[Tensor | None, ...]:
        u, dt, A, B, C, kept, *starts = ctx.saved_tensors
        to_u, to_dt, to_B, to_C = (torch.empty_like(z) for z in (u, dt, B, C))
        to_A = torch.zeros_like(kept)
        ends = torch.zeros_like(kept)
        if ctx.lanes > 1:
            for t in reversed(range(len(u))):
                ends.addcmul_(to_y[t, ..., None], C[t, :, None])
                ends.mul_(torch.exp(dt[t, ..., None] * A))
        # What the later tokens make of the gradient of the state.
        g = _carry(kept, ends, to_last, ctx.lanes, reverse=True)
        states = kept.new_empty(ctx.chunk_size + 1, *kept.shape)
        decays = torch.empty_like(states[1:])
        for first, start in reversed(
            list(zip(range(0, len(u), ctx.chunk_size), starts, strict=True))
        ):
            chunk = range(first, min(first + ctx.chunk_size, len(u)))
            states[0] = start
            for i, t in enumerate(chunk):
                states[i + 1] = states[i]
                decays[i] = _advance(states[i + 1], u[t], dt[t], B[t], A)
            for i, t in reversed(list(enumerate(chunk))):
                g.addcmul_(to_y[t, ..., None], C[t, :, None])
                to_C[t] = (to_y[t, :, None] @ states[i + 1]).squeeze(1)
                to_B[t] = (u[t, :, None] @ g).squeeze(1)
                to_u[t] = (g @ B[t, ..., None]).squeeze(-1)
                g.mul_(decays[i])
                to_exponent = g * states[i]
                to_A.addcmul_(to_exponent, dt[t, ..., None])
                to_dt[t] = to_exponent.mul_(A).sum(-1)
        to_start = g.unflatten(0, (len(to_last), ctx.lanes))[:, 0]
        return to_u, to_dt, to_A.sum(0), to_B, to_C, to_start, None, None


def _advance(h: Tensor, u: Tensor, dt: Tensor, B: Tensor, A: Tensor) -> Tensor:
    """Moves `h` on by one token, in place, and gives the decay."""
    decay = torch.exp_(dt[..., None] * A)
    h.mul_(decay).addcmul_(u[..., None], B[:, None])
    return decay


def _carry(
    kept: Tensor, ends: Tensor, start: Tensor, lanes: int, *, reverse: bool = False
) -> Tensor:
    """The state before each lane, given what each keeps of it and ends with when begun at 0."""
    keeps, adds = (z.unflatten(0, (len(start), lanes)) for z in (kept, ends))
    before = torch.empty_like(adds)
    for lane in reversed(range(lanes)) if reverse else range(lanes):
        before[:, lane] = start
        start = torch.addcmul(adds[:, lane], keeps[:, lane], start)
    return before.flatten(0, 1)
