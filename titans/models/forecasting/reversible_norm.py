"""Reversible instance normalisation (Kim et al., ICLR 2022): the level of a window is put aside."""

import torch
from torch import Tensor, nn

from titans.shapes import Series


class ReversibleNorm(nn.Module):
    """Standardises each channel of each window, and gives a forecast the window's level back.

    Args:
        channels: variables of the series.
        affine: whether a scale and a shift a channel are learned in between.
        epsilon: added to the variance.
    """

    def __init__(self, channels: int, *, affine: bool = True, epsilon: float = 1e-5) -> None:
        super().__init__()
        self.epsilon = epsilon
        self.scale = nn.Parameter(torch.ones(channels)) if affine else None
        self.shift = nn.Parameter(torch.zeros(channels)) if affine else None

    def forward(self, series: Series) -> tuple[Series, tuple[Tensor, Tensor]]:
        """The window `[batch, time, channels]` standardised, and its level for `reverse`."""
        mean = series.mean(1, keepdim=True).detach()
        variance = series.var(1, keepdim=True, unbiased=False).detach()
        deviation = (variance + self.epsilon).sqrt()
        standard = (series - mean) / deviation
        if self.scale is not None and self.shift is not None:
            standard = standard * self.scale + self.shift
        return standard, (mean, deviation)

    def reverse(self, forecast: Series, level: tuple[Tensor, Tensor]) -> Series:
        """The forecast `[batch, horizon, channels]` at the level of its window."""
        mean, deviation = level
        if self.scale is not None and self.shift is not None:
            forecast = (forecast - self.shift) / (self.scale + self.epsilon**2)
        return forecast * deviation + mean
