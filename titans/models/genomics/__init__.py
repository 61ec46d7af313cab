"""Classifiers of DNA that are no stack of mixers."""

from titans.models.genomics.cnn import CNN
from titans.models.genomics.dnabert import DNABERT, KmerTokens, load_dnabert
from titans.models.genomics.gpt import GPT

__all__ = ["CNN", "DNABERT", "GPT", "KmerTokens", "load_dnabert"]
