"""The network inside: an MLP whose weights are the recurrent state."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

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
        first: the function and its slope.
        curvature: of an input, given the function and its slope there.
    """

    value: Callable[[Tensor], Tensor]
    first: Callable[[Tensor], tuple[Tensor, Tensor]]
    curvature: Callable[[Tensor, Tensor, Tensor], Tensor]


def _silu_first(x: Tensor) -> tuple[Tensor, Tensor]:
    gate = torch.sigmoid(x)
    value = x * gate
    return value, torch.lerp(value, torch.ones_like(x[..., :1]), gate)


def _silu_curvature(x: Tensor, value: Tensor, slope: Tensor) -> Tensor:
    curvature = (2 * slope).sub_(value)
    return curvature.addcmul_(torch.sigmoid(x), curvature, value=-1)


def _gelu_density(x: Tensor) -> Tensor:
    return torch.exp(-0.5 * x * x) * (0.5 / torch.pi) ** 0.5


def _gelu_first(x: Tensor) -> tuple[Tensor, Tensor]:
    below = 0.5 * (1 + torch.erf(x * 0.5**0.5))
    return F.gelu(x), below + x * _gelu_density(x)


def _gelu_curvature(x: Tensor, value: Tensor, slope: Tensor) -> Tensor:
    return _gelu_density(x) * (2 - x * x)


SILU = Activation(F.silu, _silu_first, _silu_curvature)
GELU = Activation(F.gelu, _gelu_first, _gelu_curvature)


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

    def finish(self, raw: Tensor, x: Tensor) -> Tensor:
        """What follows the last layer: `norm(raw) + x`, as configured."""
        if self.normalise:
            raw = F.layer_norm(raw, raw.shape[-1:], eps=NORM_EPS)
        return raw + x if self.residual else raw


PLAIN = MemoryNetwork()


def clip_factor(norm: Float[Tensor, "*axes"], clip: float | None) -> Float[Tensor, "*axes"] | float:
    """What to multiply a gradient of that Frobenius norm by, so that it is at most `clip`."""
    if clip is None:
        return 1.0
    return (clip / norm.clamp_min(torch.finfo(norm.dtype).tiny ** 0.5)).clamp_max(1.0)


def check(chunk_size: int, gates: tuple[Tensor | tuple[Tensor, ...], ...], layers: int) -> None:
    """Refuses what has no meaning.

    Raises:
        ValueError: a chunk without a token, or gates for another number of layers.
    """
    if chunk_size < 1:
        raise ValueError(f"chunk_size is {chunk_size}: a chunk has at least one token")
    for gate in gates:
        found = (
            len(gate) if isinstance(gate, tuple) else gate.shape[3] if gate.dim() > 3 else layers
        )
        if found != layers:
            raise ValueError(f"{found} gates a token for a memory of {layers} layers")
