"""What the gates of a chunk amount to: how much of each token's write is left at each later one."""

from typing import NamedTuple

import torch
from torch import Tensor


class Decay(NamedTuple):
    """Factors of one chunk of `C` tokens for one layer of the memory; axes `[batch * heads, ...]`.

    Attributes:
        read: `a`, `b` `[C, 2]`: what is left of `W`, and what `S` has added, after each token.
        writes: `G theta` `[C, C]`, how much of each gradient has been written after each token.
        last: `[C, 2]`, how much of each gradient is in `W'` and in `S'` at the end of the chunk.
        mix: `[2, 2]`, what `W'` and `S'` keep of `W` and `S`.
    """

    read: Tensor
    writes: Tensor
    last: Tensor
    mix: Tensor


def decays(forget: Tensor, momentum: Tensor, step: Tensor) -> Decay:
    """The factors of several chunks and layers at once, `[chunks, 1 | layers, batch * heads, ...]`.

    Args:
        forget: `alpha` `[1 | layers, batch * heads, chunks, C]`.
        momentum: `eta`, likewise; one gate for all layers goes with several of another.
        step: `theta`, likewise.
    """
    forget, momentum, step = torch.broadcast_tensors(forget, momentum, step)
    (keep, carry), (kept, carried) = _products(torch.stack([_log_keep(forget), _log(momentum)]))
    read = torch.stack([kept, (keep @ carried[..., None])[..., 0]], dim=-1)
    writes = (keep @ carry) * step[..., None, :]
    last = torch.stack([writes[..., -1, :], carry[..., -1, :] * step], dim=-1)
    left = torch.stack([torch.zeros_like(carried[..., -1]), carried[..., -1]], dim=-1)
    factors = Decay(read, writes, last, torch.stack([read[..., -1, :], left], dim=-2))
    return Decay(*(factor.movedim(2, 0) for factor in factors))


def _log(factor: Tensor) -> Tensor:
    """Its logarithm, with an offset that keeps a product and its gradient right where it is 0."""
    return (factor + torch.finfo(factor.dtype).tiny ** 0.8).log()


def _log_keep(forget: Tensor) -> Tensor:
    """`log(1 - alpha)`; next to 1 a small `alpha` would be rounded away.

    A sigmoid in float32 is 1 from a logit of 17 on, and then nothing is kept.
    """
    below = forget.clamp_max(1 - torch.finfo(forget.dtype).eps / 2)
    return torch.where(forget < 1, torch.log1p(-below), _log(1 - forget))


def _products(log: Tensor) -> tuple[Tensor, Tensor]:
    """Products of factors over `j < l <= t`, `[..., C, C]`, and over `l <= t`, `[..., C]`.

    Takes their logarithms `[..., C]` and sums each span by itself, as a product with ones and
    zeros: differences of cumulative sums lose digits, in the gradient of a factor of 0 all of
    them; ratios of products underflow.
    """
    upto = torch.ones(log.shape[-1:] * 2, dtype=log.dtype, device=log.device).tril()
    spans = upto @ (log[..., None] * upto.tril(-1))
    return spans.exp() * upto, log.cumsum(-1).exp()
