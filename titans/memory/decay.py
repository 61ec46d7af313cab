"""What the gates of a chunk amount to: how much of each token's write is left at each later one."""

from typing import NamedTuple

import torch
from torch import Tensor


class Decay(NamedTuple):
    """Factors of one chunk of `C` tokens for one layer of the memory; axes `[batch * heads, ...]`.

    Attributes:
        weights: `a` `[C, 1]`, what is left of `W_0` after each token.
        momentum: `b` `[C, 1]`, what `S_0` has added after each token.
        writes: `G theta` `[C, C]`, how much of each gradient has been written after each token.
        surprise: `H theta` `[C, 1]`, how much of each gradient is in the momentum at the end.
        momentum_left: `prod eta` over the chunk, `[1, 1]`.
    """

    weights: Tensor
    momentum: Tensor
    writes: Tensor
    surprise: Tensor
    momentum_left: Tensor


def decays(forget: Tensor, momentum: Tensor, step: Tensor) -> Decay:
    """The factors of all chunks and layers at once, `[chunks, 1 | layers, batch * heads, ...]`.

    Args:
        forget: `alpha` `[1 | layers, batch * heads, chunks, C]`.
        momentum: `eta`, likewise; one gate for all layers goes with several of another.
        step: `theta`, likewise.
    """
    forget, momentum, step = torch.broadcast_tensors(forget, momentum, step)
    # As a logarithm, since next to 1 a small `alpha` would be rounded away.
    keep, kept = _products(torch.log1p(-forget))
    # The offset keeps the value and the gradient of a product right where a factor is 0.
    carry, carried = _products((momentum + torch.finfo(momentum.dtype).tiny ** 0.8).log())
    factors = Decay(
        weights=kept[..., None],
        momentum=keep @ carried[..., None],
        writes=(keep @ carry) * step[..., None, :],
        surprise=(carry[..., -1, :] * step)[..., None],
        momentum_left=carried[..., -1:, None],
    )
    return Decay(*(factor.movedim(2, 0) for factor in factors))


def _products(log: Tensor) -> tuple[Tensor, Tensor]:
    """Products of factors over `j < l <= t`, `[..., C, C]`, and over `l <= t`, `[..., C]`.

    Takes their logarithms `[..., C]` and sums each span by itself: differences of cumulative sums
    lose digits, ratios of cumulative products underflow.
    """
    size = log.shape[-1]
    spans = log[..., :, None].expand(*log.shape, size).tril(-1).cumsum(-2)
    return spans.exp().tril(), log.cumsum(-1).exp()
