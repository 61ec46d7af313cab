"""How much to forget, to carry on and to write: functions of the token."""

from collections import abc

import torch
from torch import Tensor, nn

from titans.memory.checks import positive
from titans.memory.precise import PreciseLinear, precise
from titans.shapes import Gate, Sequence

NAMES = ("alpha", "eta", "theta")


class Gates(nn.Module):
    """`alpha`, `eta` and `theta` of every token and head, each a sigmoid of a linear map.

    The paper leaves their form, range and start open; see FIDELITY.md, "Gates".

    Args:
        dim: width of the input.
        heads: memories side by side.
        chunk_size: tokens of a chunk, whose gradients are all taken at one point.
        momentum: whether past surprise is carried on; `eta` is 0 otherwise (Table 5).
        forget: whether the memory decays; `alpha` is 0 otherwise (Table 5).
        max_step: bound on the steps of a chunk together: `theta` is in
            [0, max_step (1 - eta) / chunk_size], since a surprise is applied `1 / (1 - eta)` times
            over, and a chunk may be the same token `chunk_size` times.
        start: what (`alpha`, `eta`, share of the largest `theta`) are for a token of zeros, before
            training.
        step_floor: what is taken off the sigmoid of `theta`, the rest stretched to [0, 1) again:
            below it a token writes nothing and has nothing forgotten, where sigmoids alone leave
            a little of both.
        layers: gates a token and head; more than 1 gives each layer of the memory its own.

    Raises:
        ValueError: `start` is not three shares between 0 and 1, once rounded, `step_floor` is not
            from 0 to below 1, or `max_step` is not above 0.
    """

    def __init__(
        self,
        dim: int,
        heads: int,
        chunk_size: int,
        *,
        momentum: bool = True,
        forget: bool = True,
        max_step: float = 2.0,
        start: abc.Sequence[float] = (1e-7, 0.5, 0.03),
        step_floor: float = 0.0,
        layers: int = 1,
    ) -> None:
        super().__init__()
        positive(max_step=max_step)
        self.shape = (3, heads, layers)
        self.has_momentum, self.has_forget = momentum, forget
        self.max_step = max_step / chunk_size
        self.linear = PreciseLinear(dim, 3 * heads * layers)
        dtype = self.linear.bias.dtype
        # The largest number below 1, and what is not rounded to 0.
        most, least = 1 - torch.finfo(dtype).eps / 2, torch.finfo(dtype).tiny
        if len(start) != 3 or not all(least <= share <= most for share in start):
            raise ValueError(
                f"start={list(start)}: set three shares between 0 and 1, neither of which they may "
                f"be once rounded to {dtype}"
            )
        if not 0 <= step_floor < 1:
            raise ValueError(f"step_floor={step_floor}: set a share from 0 to below 1")
        self.step_floor = step_floor
        shares = torch.tensor(list(start), dtype=dtype)
        shares[2] = step_floor + (1 - step_floor) * shares[2]
        with torch.no_grad():
            self.linear.bias.copy_(shares.logit().repeat_interleave(heads * layers))

    def forward(self, x: Sequence) -> tuple[Gate, Gate, Gate]:
        """Gates (`alpha`, `eta`, `theta`), each `[batch, heads, time]` (and layers, if several)."""
        # Sigmoids this close to 0 and 1 need float32 whatever the rest is computed in.
        logits = self.linear(x.to(precise(x.dtype)))
        gates = torch.sigmoid(logits).unflatten(-1, self.shape)
        alpha, eta, theta = gates.movedim(1, -2).unbind(1)
        if self.shape[-1] == 1:
            alpha, eta, theta = alpha[..., 0], eta[..., 0], theta[..., 0]
        eta = eta if self.has_momentum else torch.zeros_like(eta)
        alpha = alpha if self.has_forget else torch.zeros_like(alpha)
        if self.step_floor:
            theta = torch.relu(theta - self.step_floor) / (1 - self.step_floor)
            alpha = torch.where(theta > 0, alpha, 0.0)
        return alpha, eta, self.max_step * (1 - eta) * theta


def gate_means(gates: tuple[Tensor, ...]) -> dict[str, Tensor]:
    """Mean `alpha`, `eta` and `theta`, detached, for logging."""
    return {name: gate.detach().mean() for name, gate in zip(NAMES, gates, strict=True)}


def over_pieces(logs: list[dict[str, Tensor]], sizes: list[int]) -> dict[str, Tensor]:
    """What was logged of pieces of a sequence as of the whole: gates' means over all its tokens.

    Args:
        logs: of each piece, `gate_means` and what else is as after the last one.
        sizes: tokens of each.
    """
    if len(logs) == 1:
        return logs[0]
    like = logs[0][NAMES[0]]
    shares = torch.tensor(sizes, dtype=like.dtype, device=like.device) / sum(sizes)
    means = {name: torch.stack([log[name] for log in logs]) @ shares for name in NAMES}
    return logs[-1] | means
