"""Classifiers of DNA that are no stack of mixers."""

from titans.models.genomics.cnn import CNN

__all__ = ["CNN"]
