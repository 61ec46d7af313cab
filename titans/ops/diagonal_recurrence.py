"""`h_t = a_t * h_{t-1} + u_t`, channel by channel, without a step of Python per token."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

LANE = 16
"""Tokens that follow one another in a lane; all lanes of a sequence advance together."""


def diagonal_recurrence(
    decay: Float[Tensor, "batch time *channels"],
    inputs: Float[Tensor, "batch time *channels"],
    start: Float[Tensor, "batch *channels"],
) -> Float[Tensor, "batch time *channels"]:
    """Every `h_t = decay_t * h_{t-1} + inputs_t`, with `h_0` the `start`.

    The sequence is cut into lanes of `LANE` tokens. All lanes run side by side from zero to learn
    how each ends, the ends are carried from lane to lane, and all run again from their true starts.
    Decays are only multiplied, never divided, so that strong ones are exact.

    Args:
        decay: `a`, `[batch, time, ...]`; time is a multiple of `LANE`, and not 0.
        inputs: `u`, likewise.
        start: `[batch, ...]`.
    """
    states: Tensor = _Recurrence.apply(decay, inputs, start)  # type: ignore[no-untyped-call]
    return states


class _Recurrence(torch.autograd.Function):
    """The gradient of a recurrence is the recurrence of the gradients, from the end."""

    @staticmethod
    def forward(ctx: Any, decay: Tensor, inputs: Tensor, start: Tensor) -> Tensor:
        states = _run(decay, inputs, start)
        ctx.save_for_backward(decay, states, start)
        return states

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        decay, states, start = ctx.saved_tensors
        later = torch.cat([decay[:, 1:], torch.zeros_like(decay[:, :1])], dim=1)
        to_inputs = _run(later, gradient, torch.zeros_like(start), reverse=True)
        to_decay = torch.empty_like(to_inputs)
        torch.mul(to_inputs[:, 1:], states[:, :-1], out=to_decay[:, 1:])
        torch.mul(to_inputs[:, 0], start, out=to_decay[:, 0])
        return to_decay, to_inputs, to_inputs[:, 0] * decay[:, 0]


def _run(decay: Tensor, inputs: Tensor, start: Tensor, *, reverse: bool = False) -> Tensor:
    """All states, from the first token on, or from the last one back."""
    states = torch.empty_like(inputs)
    # Step i holds token i of every lane.
    apart = (x.unflatten(1, (-1, LANE)).unbind(2) for x in (decay, inputs, states))
    steps = list(zip(*apart, strict=True))
    if reverse:
        steps.reverse()
    kept, end = steps[0][:2]
    for a, u, _ in steps[1:]:
        kept, end = kept * a, torch.addcmul(u, a, end)
    state = _carry(kept, end, start, reverse)
    for a, u, place in steps:
        state = torch.addcmul(u, a, state, out=place)
    return states


def _carry(kept: Tensor, end: Tensor, start: Tensor, reverse: bool) -> Tensor:
    """The state before each lane, given what each keeps of it and ends with when begun at 0."""
    before = torch.empty_like(end)
    order = range(end.shape[1])
    for lane in reversed(order) if reverse else order:
        before[:, lane] = start
        start = torch.addcmul(end[:, lane], kept[:, lane], start)
    return before
