"""Evaluations: callables that turn a task into scores."""

from titans.evals.answer_loss import AnswerLoss
from titans.evals.babilong import Babilong
from titans.evals.classification import Classification
from titans.evals.commonsense import CommonSense
from titans.evals.context import ContextPerplexity
from titans.evals.forecast_error import ForecastError
from titans.evals.generate import generate
from titans.evals.needle import Needle
from titans.evals.ngram import NGram
from titans.evals.nucleotides import NucleotideBits
from titans.evals.perplexity import Perplexity
from titans.evals.plan import Plan
from titans.evals.score import Score
from titans.evals.throughput import Throughput

__all__ = [
    "AnswerLoss",
    "Babilong",
    "Classification",
    "CommonSense",
    "ContextPerplexity",
    "ForecastError",
    "NGram",
    "Needle",
    "NucleotideBits",
    "Perplexity",
    "Plan",
    "Score",
    "Throughput",
    "generate",
]
