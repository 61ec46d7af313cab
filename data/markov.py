"""An order-k Markov model of nucleotides: the mark that a network has to pass."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from data.nucleotides import UNKNOWN

KNOWN = UNKNOWN
SYMBOLS = UNKNOWN + 1


class Markov:
    """The frequency of each nucleotide behind each `order` nucleotides, with one added to counts.

    What is unknown, or lies before the beginning, is a fifth symbol of a context and is never
    predicted. So the model predicts each known nucleotide, the first too.
    """

    def __init__(self, order: int) -> None:
        if not 0 <= order <= 10:
            raise ValueError(f"the order of the Markov model is {order}, and should be 0 to 10")
        self.order = order
        self.counts = np.zeros((SYMBOLS**order, KNOWN), dtype=np.int64)

    def fit(self, stretches: Iterable[Tensor]) -> "Markov":
        """Count stretches of tokens `[time]`, each with nothing before it."""
        for tokens in stretches:
            contexts, following = self._split(tokens.numpy())
            cells = np.bincount(contexts * KNOWN + following, minlength=self.counts.size)
            self.counts += cells.reshape(self.counts.shape)
        return self

    def bits(self, stretches: Iterable[Tensor]) -> tuple[float, int]:
        """Return the mean bits of a known nucleotide, and how many there are."""
        cost = -np.log2((self.counts + 1) / (self.counts + 1).sum(1, keepdims=True))
        total, number = 0.0, 0
        for tokens in stretches:
            contexts, following = self._split(tokens.numpy())
            total += float(cost[contexts, following].sum())
            number += len(following)
        return total / max(1, number), number

    def _split(self, tokens: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The number of the context of each known nucleotide, and the nucleotide."""
        before = np.full(self.order, UNKNOWN, dtype=np.int64)
        padded = np.concatenate([before, tokens.astype(np.int64)])
        contexts = np.zeros(len(tokens), dtype=np.int64)
        for offset in range(self.order):
            contexts = contexts * SYMBOLS + padded[offset : offset + len(tokens)]
        known = tokens < KNOWN
        return contexts[known], tokens[known].astype(np.int64)
