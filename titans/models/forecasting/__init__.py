"""Forecasters: from a window of a multivariate series to the steps that follow it."""

from titans.models.forecasting.crossformer import Crossformer
from titans.models.forecasting.dlinear import DLinear
from titans.models.forecasting.einfft import EinFFT
from titans.models.forecasting.itransformer import ITransformer
from titans.models.forecasting.patchtst import PatchTST
from titans.models.forecasting.reversible_norm import ReversibleNorm
from titans.models.forecasting.rlinear import RLinear
from titans.models.forecasting.simba import Simba
from titans.models.forecasting.tide import TiDE
from titans.models.forecasting.timesnet import TimesNet

__all__ = [
    "Crossformer",
    "DLinear",
    "EinFFT",
    "ITransformer",
    "PatchTST",
    "RLinear",
    "ReversibleNorm",
    "Simba",
    "TiDE",
    "TimesNet",
]
