"""A map over a sequence, taken a block of tokens at a time.

What it computes on its way then stays in the processor's cache and is never kept: the gradient
computes each block again.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from titans.memory.compilation import compiled

BLOCK = 256

Map = Callable[..., tuple[Tensor, ...]]


def blockwise(
    function: Map,
    sequences: Sequence[Tensor],
    parameters: Sequence[Tensor] = (),
    past: Tensor | None = None,
) -> tuple[Tensor, ...]:
    """`function(*sequences, *parameters)` for a function without matrix products over time.

    Args:
        function: maps pieces `[batch, ..., time, dim]` to others of as many tokens. With `past`
            its first argument has the tokens before it in front, as many as `past` has. The same
            object at each call, since it may be compiled.
        sequences: `[batch, ..., time, dim]`.
        parameters: what it needs besides, the same for each piece.
        past: `[batch, before, dim]`, what precedes the first sequence.
    """
    before = past if past is not None else sequences[0][..., :0, :]
    time = sequences[0].shape[-2]
    with torch.autocast(before.device.type, enabled=False):
        if time <= BLOCK or before.shape[-2] > BLOCK:
            body = _body(function, sequences[0])
            return body(torch.cat([before, sequences[0]], -2), *sequences[1:], *parameters)
        results: tuple[Tensor, ...] = _Blockwise.apply(  # type: ignore[no-untyped-call]
            function, len(sequences), before, *sequences, *parameters
        )
    return results


class _Blockwise(torch.autograd.Function):
    """Keeps its arguments alone."""

    @staticmethod
    def forward(
        ctx: Any, function: Map, count: int, past: Tensor, *tensors: Tensor
    ) -> tuple[Tensor, ...]:
        ctx.save_for_backward(past, *tensors)
        ctx.function, ctx.count = function, count
        sequences, parameters = tensors[:count], tensors[count:]
        time, results = sequences[0].shape[-2], list[Tensor]()
        for start in range(0, time, BLOCK):
            pieces = _pieces(past, sequences, start)
            parts = _body(function, pieces[0])(*pieces, *parameters)
            if not results:
                results = [x.new_empty(*x.shape[:-2], time, x.shape[-1]) for x in parts]
            for whole, part in zip(results, parts, strict=True):
                whole[..., start : start + BLOCK, :] = part
        return tuple(results)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        past, *tensors = ctx.saved_tensors
        sequences, parameters = tensors[: ctx.count], tensors[ctx.count :]
        to_sequences = [torch.empty_like(x) for x in sequences]
        to_parameters = [torch.zeros_like(x) for x in parameters]
        to_past, before = past, past.shape[-2]
        for start in reversed(range(0, sequences[0].shape[-2], BLOCK)):
            place = slice(start, start + BLOCK)
            leaves = [x.detach() for x in (*_pieces(past, sequences, start), *parameters)]
            body = _body(ctx.function, leaves[0])
            with torch.autocast(past.device.type, enabled=False), torch.enable_grad():
                outputs = body(*(leaf.requires_grad_() for leaf in leaves))
            parts = [g[..., place, :] for g in gradients]
            first, *rest = torch.autograd.grad(outputs, leaves, parts, materialize_grads=True)
            to_sequences[0][..., place, :] = first[..., before:, :]
            if start + BLOCK < sequences[0].shape[-2]:
                # The block after this one looked back at the end of this one.
                to_sequences[0][..., place, :][..., BLOCK - before :, :] += to_past
            to_past = first[..., :before, :]
            for whole, part in zip(to_sequences[1:], rest, strict=False):
                whole[..., place, :] = part
            for whole, part in zip(to_parameters, rest[ctx.count - 1 :], strict=True):
                whole += part
        return None, None, to_past, *to_sequences, *to_parameters


def _body(function: Map, piece: Tensor) -> Map:
    """What computes a piece; one of few tokens is not worth a compilation."""
    return compiled(function) if piece.shape[:-1].numel() >= BLOCK else function


def _pieces(past: Tensor, sequences: Sequence[Tensor], start: int) -> list[Tensor]:
    """The block that begins at `start`, the first sequence's with what precedes it."""
    before = past.shape[-2]
    lead = sequences[0][..., start - before : start, :] if start else past
    first, *rest = (x[..., start : start + BLOCK, :] for x in sequences)
    return [torch.cat([lead, first], dim=-2) if before else first, *rest]
