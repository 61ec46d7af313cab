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
    """A pointwise non-linearity and its derivative."""

    value: Callable[[Tensor], Tensor]
    slope: Callable[[Tensor], Tensor]


def _silu_slope(x: Tensor) -> Tensor:
    gate = torch.sigmoid(x)
    return gate * (1 + x * (1 - gate))


def _gelu_slope(x: Tensor) -> Tensor:
    cdf = 0.5 * (1 + torch.erf(x * 0.5**0.5))
    density = torch.exp(-0.5 * x * x) * (0.5 / torch.pi) ** 0.5
    return cdf + x * density


SILU = Activation(F.silu, _silu_slope)
GELU = Activation(F.gelu, _gelu_slope)


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

    def forward(self, layers: int, linear: Callable[[int, Tensor], Tensor], x: Tensor) -> Tensor:
        """Reads `M(x)`, where `linear(layer, input)` multiplies by that layer's weights."""
        hidden = x
        for layer in range(layers):
            hidden = linear(layer, self.activation.value(hidden) if layer else hidden)
        if self.normalise:
            hidden = F.layer_norm(hidden, hidden.shape[-1:], eps=NORM_EPS)
        return hidden + x if self.residual else hidden

    def read(
        self, weights: tuple[Tensor, ...], queries: Float[Tensor, "*axes time dim"]
    ) -> Float[Tensor, "*axes time out"]:
        """Reads every query through the same `weights` (a forward pass, no write)."""
        return self.forward(len(weights), lambda layer, x: x @ weights[layer].mT, queries)

    def errors(
        self,
        weights: tuple[Tensor, ...],
        keys: Float[Tensor, "*axes time dim"],
        values: Float[Tensor, "*axes time out"],
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Back-propagates `||M(k) - v||^2` by hand, for all tokens at the same `weights`.

        Returns:
            Per layer, the inputs `x` and the errors `delta` `[*axes, time, in | out]`; the
            gradient of token `i` is the outer product `delta_i x_i^T`.
        """
        inputs, preactivations = [keys], []
        for layer, weight in enumerate(weights):
            preactivations.append(inputs[layer] @ weight.mT)
            if layer + 1 < len(weights):
                inputs.append(self.activation.value(preactivations[layer]))
        error = self._output_error(preactivations[-1], keys, values)
        errors = [error]
        for layer in range(len(weights) - 1, 0, -1):
            error = (error @ weights[layer]) * self.activation.slope(preactivations[layer - 1])
            errors.insert(0, error)
        return inputs, errors

    def _output_error(self, raw: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Gradient of the loss with respect to the last layer's output before `normalise`."""
        target = values - keys if self.residual else values
        if not self.normalise:
            return 2 * (raw - target)
        variance, mean = torch.var_mean(raw, dim=-1, keepdim=True, correction=0)
        inverse = torch.rsqrt(variance + NORM_EPS)
        output = (raw - mean) * inverse
        error = 2 * (output - target)
        along = (error * output).mean(dim=-1, keepdim=True)
        return inverse * (error - error.mean(dim=-1, keepdim=True) - output * along)


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
