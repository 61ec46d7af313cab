"""Forecasters: from a window of a multivariate series to the steps that follow it."""

from titans.models.forecasting.reversible_norm import ReversibleNorm

__all__ = ["ReversibleNorm"]
