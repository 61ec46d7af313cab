"""Evaluations: callables that turn a trained task into scores."""

from titans.evals.generate import generate
from titans.evals.needle import Needle

__all__ = ["Needle", "generate"]
