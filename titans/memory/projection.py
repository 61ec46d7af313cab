"""Linear map, causal depthwise convolution, SiLU: how queries, keys and values are made."""

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from titans.memory.blockwise import Map, blockwise
from titans.memory.checks import at_least
from titans.shapes import Sequence


class Projection(nn.Module):
    """`silu(conv(x W))` (v1, section 4.4), with the convolution's past carried along.

    Args:
        dim: width of the input.
        out: width of the output.
        convolution: tokens that the convolution sees, the current one included; 0 for none.
        activation: whether SiLU follows.
        bias: whether the convolution adds one.

    Raises:
        ValueError: `convolution` is below 0.
    """

    def __init__(
        self,
        dim: int,
        out: int,
        *,
        convolution: int = 4,
        activation: bool = True,
        bias: bool = False,
    ) -> None:
        super().__init__()
        at_least(0, convolution=convolution)
        self.activation = F.silu if activation else _same
        self.linear = nn.Linear(dim, out, bias=False)
        self.kernel = nn.Parameter(torch.zeros(convolution, out)) if convolution else None
        if self.kernel is not None:
            nn.init.uniform_(self.kernel, -(convolution**-0.5), convolution**-0.5)
        self.bias = nn.Parameter(torch.zeros(out)) if bias and convolution else None

    def forward(
        self, x: Sequence, past: Float[Tensor, "batch past out"] | None = None
    ) -> tuple[Float[Tensor, "batch time out"], Float[Tensor, "batch carried out"]]:
        """Projects `[batch, time, dim]` to `[batch, time, out]`; `past` continues a sequence."""
        (projected,), past = self.then(_alone, x, past)
        return projected, past

    def then(
        self, function: Map, x: Sequence, past: Float[Tensor, "batch past out"] | None = None
    ) -> tuple[tuple[Tensor, ...], Float[Tensor, "batch carried out"]]:
        """As `forward`, with what `function` makes of each piece of the projection.

        `function` is kept, so it should not be made anew at each call.
        """
        projected = self.linear(x)
        width = 1 if self.kernel is None else len(self.kernel)
        if past is None:
            past = projected.new_zeros(x.shape[0], width - 1, projected.shape[-1])
        parameters = [p for p in (self.kernel, self.bias) if p is not None]
        mixed = blockwise(_mixing(self.activation, function), [projected], parameters, past)
        recent = torch.cat([past, projected[:, max(0, x.shape[1] - width + 1) :]], dim=1)
        # A copy, so that nothing else is kept with the end.
        return mixed, recent[:, recent.shape[1] - width + 1 :].clone()


def _same(x: Tensor) -> Tensor:
    return x


def _alone(x: Tensor) -> tuple[Tensor]:
    return (x,)


@cache
def _mixing(activate: Callable[[Tensor], Tensor], function: Map) -> Map:
    """Convolution where there is a kernel, bias where there is one, activation, `function`."""

    def mix(padded: Tensor, *parameters: Tensor) -> tuple[Tensor, ...]:
        if parameters:
            padded = _Convolution.apply(padded, parameters[0])  # type: ignore[no-untyped-call]
        for bias in parameters[1:]:
            padded = padded + bias.to(padded.dtype)
        return function(activate(padded))

    return mix


class _Convolution(torch.autograd.Function):
    """Sum over lags of `[batch, width - 1 + time, out]` times `kernel` `[width, out]`.

    By hand, since the gradient of each lag's slice would be a tensor of its own.
    """

    @staticmethod
    def forward(ctx: Any, padded: Tensor, kernel: Tensor) -> Tensor:
        ctx.save_for_backward(padded, kernel)
        kernel, time = kernel.to(padded.dtype), padded.shape[1] - len(kernel) + 1
        mixed = padded[:, :time] * kernel[0]
        for lag in range(1, len(kernel)):
            mixed = mixed.addcmul_(padded[:, lag : lag + time], kernel[lag])
        return mixed

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        padded, kernel = ctx.saved_tensors
        to_padded, time = torch.zeros_like(padded), gradient.shape[1]
        to_kernel = []
        for lag in range(len(kernel)):
            place = slice(lag, lag + time)
            to_padded[:, place].addcmul_(gradient, kernel[lag].to(padded.dtype))
            to_kernel.append((gradient * padded[:, place]).sum((0, 1), dtype=kernel.dtype))
        return to_padded, torch.stack(to_kernel)


def split_heads(
    x: Float[Tensor, "batch time all"], heads: int
) -> Float[Tensor, "batch heads time dim"]:
    """`[batch, time, heads * dim]` to `[batch, heads, time, dim]`."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def merge_heads(x: Float[Tensor, "batch heads time dim"]) -> Float[Tensor, "batch time all"]:
    """`[batch, heads, time, dim]` to `[batch, time, heads * dim]`."""
    return x.transpose(1, 2).flatten(-2)
