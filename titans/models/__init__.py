"""Networks: a backbone of mixers, and what is read off it."""

from titans.models.backbone import Backbone, recompute_blocks
from titans.models.block import Block
from titans.models.build import build
from titans.models.classifier import Classifier
from titans.models.language import LanguageModel

__all__ = ["Backbone", "Block", "Classifier", "LanguageModel", "build", "recompute_blocks"]
