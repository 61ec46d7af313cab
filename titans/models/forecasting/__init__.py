"""Forecasters: from a window of a multivariate series to the steps that follow it."""

from titans.models.forecasting.dlinear import DLinear
from titans.models.forecasting.itransformer import ITransformer
from titans.models.forecasting.patchtst import PatchTST
from titans.models.forecasting.reversible_norm import ReversibleNorm
from titans.models.forecasting.rlinear import RLinear
from titans.models.forecasting.tide import TiDE

__all__ = ["DLinear", "ITransformer", "PatchTST", "RLinear", "ReversibleNorm", "TiDE"]
