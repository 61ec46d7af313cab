"""RLinear (Li et al., arXiv:2305.10721): one linear map over time, at the level of the window."""

from torch import nn

from titans.models.forecasting.reversible_norm import ReversibleNorm
from titans.shapes import Forecast, Series


class RLinear(nn.Module):
    """Reversible normalisation around one linear map over time that all channels share.

    Args:
        lookback: time steps that are read.
        horizon: time steps that are forecast.
        channels: variables of the series.
        dropout: share of the normalised window that is zeroed in training.
    """

    def __init__(self, *, lookback: int, horizon: int, channels: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.norm = ReversibleNorm(channels)
        self.dropout = nn.Dropout(dropout)
        self.map = nn.Linear(lookback, horizon)

    def forward(self, series: Series) -> Forecast:
        """`[batch, lookback, channels]` to `[batch, horizon, channels]`."""
        standard, level = self.norm(series)
        forecast = self.map(self.dropout(standard).mT).mT
        return self.norm.reverse(forecast, level)
