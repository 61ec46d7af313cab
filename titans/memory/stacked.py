"""Weights and momentum of one layer in a single matrix, so that one product serves both.

A layer that widens (from `i` to `o >= i` channels) is kept as `[W^T; S^T]`, `[2 i, o]`, any other
as `[W; S]`, `[2 o, i]`. In both a vector of the narrow side meets each half by itself:

    spread(n, f) @ matrix       = f_1 (n @ first half) + f_2 (n @ second half)
    combine(w @ matrix^T, f)    = f_1 (w @ first half^T) + f_2 (w @ second half^T)

and each is the other's gradient. An outer product is added to both by `spread(n, f)^T w`.
"""

from typing import NamedTuple

import torch
from torch import Tensor


class Stacked(NamedTuple):
    """One layer's weights and momentum.

    Attributes:
        matrix: `[batch * heads, 2 narrow, wide]`.
        widens: whether the narrow side is that of the inputs.
    """

    matrix: Tensor
    widens: bool

    @classmethod
    def of(cls, weights: Tensor, momentum: Tensor) -> "Stacked":
        """From `[batch, heads, out, in]` twice."""
        widens = weights.shape[-2] >= weights.shape[-1]
        parts = [w.flatten(0, 1) for w in (weights, momentum)]
        return cls(torch.cat([w.mT if widens else w for w in parts], dim=1), widens)

    def apart(self, batch: int, heads: int) -> tuple[Tensor, Tensor]:
        """Weights and momentum, `[batch, heads, out, in]`."""
        halves = self.matrix.unflatten(0, (batch, heads)).chunk(2, dim=-2)
        weights, momentum = (h.mT if self.widens else h for h in halves)
        return weights, momentum

    def to(self, dtype: torch.dtype) -> "Stacked":
        """The same in another precision."""
        return Stacked(self.matrix.to(dtype), self.widens)

    @property
    def pair(self) -> Tensor:
        """The two as rows, `[batch * heads, 2, in * out]`."""
        return self.matrix.unflatten(1, (2, -1)).flatten(2)

    @property
    def half(self) -> Tensor:
        """The weights alone as they lie in the matrix, `[batch * heads, narrow, wide]`."""
        return self.matrix[:, : self.matrix.shape[1] // 2]

    def through(self, x: Tensor) -> Tensor:
        """`W x`, `[..., C, in]` to `[..., C, out]`."""
        return torch.bmm(x, self.half if self.widens else self.half.mT)

    def back(self, error: Tensor) -> Tensor:
        """`W^T e`, `[..., C, out]` to `[..., C, in]`."""
        return torch.bmm(error, self.half.mT if self.widens else self.half)

    def sides(self, one: Tensor, two: Tensor) -> tuple[Tensor, Tensor]:
        """(narrow, wide) as (inputs, outputs), or the other way round."""
        return (one, two) if self.widens else (two, one)


def times(factor: Tensor, x: Tensor) -> Tensor:
    """`factor * x` in the precision of `x`; factors of gates may have a higher one."""
    return (factor * x).to(x.dtype)


def spread(x: Tensor, factors: Tensor) -> Tensor:
    """`[f_1 x | f_2 x]`: `[b, C, narrow]` and `[b, C, 2]` to `[b, C, 2 narrow]`."""
    return times(factors[..., None], x[..., None, :]).flatten(-2)


def combine(product: Tensor, factors: Tensor) -> Tensor:
    """`f_1 first + f_2 second`: `[b, C, 2 narrow]` and `[b, C, 2]` to `[b, C, narrow]`."""
    first, second = product.chunk(2, dim=-1)
    total = torch.addcmul(factors[..., :1] * first, factors[..., 1:], second)
    return total.to(product.dtype)


def along(x: Tensor, product: Tensor, like: Tensor) -> Tensor:
    """`<x, first>` and `<x, second>`, the gradient of factors as precise as `like`."""
    halves = product.unflatten(-1, (2, -1)).to(like.dtype)
    return torch.linalg.vecdot(halves, x[..., None, :].to(like.dtype))


def plus(total: Tensor, left: Tensor, right: Tensor, sign: int = 1) -> Tensor:
    """`total + sign left @ right`, in place where that saves a pass; `total` is not used again."""
    if torch.compiler.is_compiling():
        # A sum by itself joins the loops around it, which one inside the product cannot.
        return total + sign * torch.bmm(left, right)
    return total.baddbmm_(left, right, alpha=sign)


def updated(
    matrix: Tensor,
    mix: Tensor,
    left: Tensor,
    right: Tensor,
    sign: int = 1,
    half: Tensor | None = None,
) -> Tensor:
    """`mix matrix + sign left @ right`, and `half` on top of its first half.

    Args:
        matrix: `[b, 2 narrow, wide]`, of which `mix` `[b, 2, 2]` takes each half as one row; it
            may be more precise than what is added.
        mix: see `matrix`.
        left: `[b, 2 narrow, C]`.
        right: `[b, C, wide]`.
        sign: of the product.
        half: `[b, narrow, wide]`.
    """
    if not torch.compiler.is_compiling():
        kept = torch.bmm(mix, matrix.unflatten(1, (2, -1)).flatten(2)).view_as(matrix)
        if left.dtype == matrix.dtype:
            total = kept.baddbmm_(left, right, alpha=sign)
        else:
            total = kept.add_(torch.bmm(left, right), alpha=sign)
        if half is not None:
            total[:, : half.shape[1]] += half
        return total
    # Half by half, so that each is one loop over consecutive numbers.
    first, second = matrix.chunk(2, dim=1)
    product = torch.bmm(left, right).chunk(2, dim=1)
    factors = mix[..., None, None]
    halves = [factors[:, i, 0] * first + factors[:, i, 1] * second + sign * product[i]
              for i in (0, 1)]  # fmt: skip
    if half is not None:
        halves[0] = halves[0] + half
    return torch.cat(halves, dim=1)
