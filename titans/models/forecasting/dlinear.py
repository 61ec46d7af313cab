"""DLinear (Zeng et al., arXiv:2205.13504): a linear map of the trend, and one of what is left."""

import torch
import torch.nn.functional as F
from torch import nn

from titans.shapes import Forecast, Series


class DLinear(nn.Module):
    """Splits a window by a moving average and maps both parts to the horizon, for all channels.

    Args:
        lookback: time steps that are read.
        horizon: time steps that are forecast.
        channels: variables of the series; each is mapped alike.
        window: time steps of the moving average, odd.

    Raises:
        ValueError: the moving average has no middle.
    """

    def __init__(self, *, lookback: int, horizon: int, channels: int, window: int = 25) -> None:
        super().__init__()
        if window % 2 == 0:
            raise ValueError(f"a moving average over {window} steps has no middle: take an odd one")
        self.window = window
        self.trend, self.rest = nn.Linear(lookback, horizon), nn.Linear(lookback, horizon)
        # The published code begins with the mean of the window.
        for linear in (self.trend, self.rest):
            nn.init.constant_(linear.weight, 1 / lookback)

    def forward(self, series: Series) -> Forecast:
        """`[batch, lookback, channels]` to `[batch, horizon, channels]`."""
        past = series.mT
        trend = self.moving_average(past)
        return (self.trend(trend) + self.rest(past - trend)).mT

    def moving_average(self, past: torch.Tensor) -> torch.Tensor:
        """Mean around each step of `[batch, channels, lookback]`, its ends repeated outwards."""
        side = self.window // 2
        padded = F.pad(past, (side, side), mode="replicate")
        return F.avg_pool1d(padded, self.window, stride=1)
