"""Training on waves that a forecaster should learn, and whether all of it was trained."""

import torch
from torch import Tensor, nn


def sines(time: int, every: int) -> Tensor:
    """Windows of three sine waves, `[batch, time, 3]`, so many steps apart."""
    steps = torch.arange(200.0)
    series = torch.stack([(steps * rate).sin() for rate in (0.2, 0.31, 0.55)], dim=-1)
    return series.unfold(0, time, every).mT


def learn(
    model: nn.Module, windows: Tensor, lookback: int, *, steps: int, lr: float
) -> list[float]:
    """The loss at each step; the gradients of the last one are left in place."""
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    losses = []
    for _ in range(steps):
        loss = nn.functional.mse_loss(model(windows[:, :lookback]), windows[:, lookback:])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def assert_all_trained(model: nn.Module) -> None:
    """Every parameter has a finite gradient."""
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
