"""The network inside: an MLP whose weights are the recurrent state."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

NORM_EPS = 1e-5


class MemoryState(NamedTuple):
    """What a memory carries from token to token.

    Attributes:
        weights: `M`, one matrix per layer, first layer first.
        momentum: `S`, the past surprise, of the same shapes.
    """

    weights: tuple[Float[Tensor, "batch heads out in"], ...]
    momentum: tuple[Float[Tensor, "batch heads out in"], ...]


class Activation(NamedTuple):
    """A pointwise non-linearity and its derivatives.

    Attributes:
        value: the function.
        backward: of a gradient and an input, that gradient times the function's slope.
        derivatives: of an input, the slope and the curvature there.
    """

    value: Callable[[Tensor], Tensor]
    backward: Callable[[Tensor, Tensor], Tensor]
    derivatives: Callable[[Tensor], tuple[Tensor, Tensor]]


def _silu_derivatives(x: Tensor) -> tuple[Tensor, Tensor]:
    gate = torch.sigmoid(x)
    value = x * gate
    slope = torch.lerp(value, torch.ones_like(x[..., :1]), gate)
    curvature = (2 * slope).sub_(value)
    return slope, curvature.addcmul_(gate, curvature, value=-1)


def _gelu_derivatives(x: Tensor) -> tuple[Tensor, Tensor]:
    density = torch.exp(-0.5 * x * x) * (0.5 / torch.pi) ** 0.5
    return 0.5 * (1 + torch.erf(x * 0.5**0.5)) + x * density, density * (2 - x * x)


SILU = Activation(F.silu, torch.ops.aten.silu_backward, _silu_derivatives)
GELU = Activation(F.gelu, torch.ops.aten.gelu_backward, _gelu_derivatives)


@dataclass(frozen=True)
class MemoryNetwork:
    """`M(x) = W_L act(... act(W_1 x))`: what the weights of a memory mean.

    Attributes:
        residual: adds the input, `x + W_L act(...)`. Needs as many outputs as inputs.
        normalise: layer-normalises, without learned scale, before the residual. With
            `residual` and `GELU`, the camera-ready's `x + LN(W_1 gelu(W_2 x))`.
        activation: between layers; none follows the last one.
    """

    residual: bool = False
    normalise: bool = False
    activation: Activation = SILU

    def read(
        self, weights: tuple[Tensor, ...], queries: Float[Tensor, "*axes time dim"]
    ) -> Float[Tensor, "*axes time out"]:
        """Reads every query through the same `weights` (a forward pass, no write)."""
        hidden = queries
        for layer, weight in enumerate(weights):
            hidden = (self.activation.value(hidden) if layer else hidden) @ weight.mT
        return self.finish(hidden, queries)

    def output_error(self, raw: Tensor, targets: Tensor) -> Tensor:
        """Gradient of `||norm(raw) - targets||^2` with respect to `raw`, where `norm` may be none.

        Args:
            raw: what the last layer makes of a key, `[*axes, time, out]`.
            targets: the value, less the key where there is a residual; likewise.
        """
        if not self.normalise:
            return 2 * (raw - targets)
        variance, mean = torch.var_mean(raw, dim=-1, keepdim=True, correction=0)
        inverse = torch.rsqrt(variance + NORM_EPS)
        output = (raw - mean) * inverse
        error = 2 * (output - targets)
        along = (error * output).mean(dim=-1, keepdim=True)
        return inverse * (error - error.mean(dim=-1, keepdim=True) - output * along)

    def output_error_backward(
        self, raw: Tensor, targets: Tensor, error: Tensor
    ) -> tuple[Tensor, Tensor]:
        """What `raw` and `targets` get of a gradient with respect to `output_error`."""
        if not self.normalise:
            return 2 * error, -2 * error
        with torch.enable_grad():
            leaves = raw.detach().requires_grad_(), targets.detach().requires_grad_()
            to_raw, to_targets = torch.autograd.grad(self.output_error(*leaves), leaves, error)
        return to_raw, to_targets

    def finish(self, raw: Tensor, x: Tensor) -> Tensor:
        """What follows the last layer: `norm(raw) + x`, as configured."""
        if self.normalise:
            raw = F.layer_norm(raw, raw.shape[-1:], eps=NORM_EPS)
        return raw + x if self.residual else raw


PLAIN = MemoryNetwork()


def layer_widths(width: int, depth: int, expansion: float) -> list[int]:
    """Channels before, between and after the layers of a memory.

    Raises:
        ValueError: there is no layer, or none between two.
    """
    hidden = int(expansion * width)
    if depth < 1 or (depth > 1 and hidden < 1):
        raise ValueError(
            f"depth={depth}, expansion={expansion} on {width} channels: set a depth of 1 or more, "
            f"and an expansion that leaves a channel"
        )
    return [width, *[hidden] * (depth - 1), width]


def initial_weights(heads: int, widths: list[int]) -> nn.ParameterList:
    """`M_0` to be learned, one memory a head."""
    return nn.ParameterList(
        torch.randn(heads, out, width) * width**-0.5 for width, out in pairwise(widths)
    )


def clip_factor(norm: Float[Tensor, "*axes"], clip: float | None) -> Float[Tensor, "*axes"] | float:
    """What to multiply a gradient of that Frobenius norm by, so that it is at most `clip`."""
    if clip is None:
        return 1.0
    return (clip / norm.clamp_min(torch.finfo(norm.dtype).tiny ** 0.5)).clamp_max(1.0)
