"""Evaluations: callables that turn a task into scores."""

from titans.evals.classification import Classification
from titans.evals.forecast_error import ForecastError
from titans.evals.generate import generate
from titans.evals.needle import Needle
from titans.evals.nucleotides import NucleotideBits
from titans.evals.score import Score
from titans.evals.throughput import Throughput

__all__ = [
    "Classification",
    "ForecastError",
    "Needle",
    "NucleotideBits",
    "Score",
    "Throughput",
    "generate",
]
