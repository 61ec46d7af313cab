"""Forecasters: from a window of a multivariate series to the steps that follow it."""

from titans.models.forecasting.dlinear import DLinear
from titans.models.forecasting.reversible_norm import ReversibleNorm
from titans.models.forecasting.rlinear import RLinear

__all__ = ["DLinear", "RLinear", "ReversibleNorm"]
