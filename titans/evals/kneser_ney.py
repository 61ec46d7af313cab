"""An n-gram model with interpolated Kneser-Ney smoothing: what a language model has to beat."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Tokens = NDArray[Any]
Numbers = NDArray[np.int64]


class _Order(NamedTuple):
    """What is known of the grams of one length.

    Attributes:
        grams: `context * vocabulary + token` of each, ascending; a gram's number is its place.
        counts: of each; but for the longest, how many different tokens stand before it.
        totals: the sum of `counts` over the grams of each context.
        kinds: how many different tokens follow each context.
        discount: what is taken off every count.
    """

    grams: Numbers
    counts: Numbers
    totals: Numbers
    kinds: Numbers
    discount: float

    def find(self, grams: Numbers) -> Numbers:
        """The number of each gram, or -1."""
        places = np.minimum(np.searchsorted(self.grams, grams), len(self.grams) - 1)
        return np.where(self.grams[places] == grams, places, -1)


class KneserNey:
    """`p(w|h) = max(c(hw) - D, 0) / c(h) + D N(h) / c(h) p(w|h')` (Chen and Goodman, 1999).

    `h'` is `h` without its first token and `N(h)` the number of different tokens behind `h`. In the
    longest grams `c` counts, in shorter ones it is the number of different tokens in front. Below
    the single tokens all of the vocabulary is equally likely. `D = n1 / (n1 + 2 n2)` of each
    length, where `n1` grams have a count of 1 and `n2` one of 2.

    Args:
        documents: token ids, each document with its end.
        vocabulary: number of tokens.
        end: the token behind every document. Before its first token stand `order - 1` of them.
        order: tokens of the longest grams.

    Raises:
        ValueError: there is no document.
    """

    def __init__(
        self, documents: Sequence[Tokens], *, vocabulary: int, end: int, order: int = 5
    ) -> None:
        if not documents:
            raise ValueError("a Kneser-Ney model needs a document to count in")
        self.vocabulary, self.end, self.order = vocabulary, end, order
        tokens, real = self._padded(documents)
        numbers, levels = [np.zeros(len(tokens), np.int64)], []
        for _ in range(order):
            grams = self._grams(numbers[-1], tokens)
            known, number = np.unique(grams, return_inverse=True)
            levels.append(known)
            numbers.append(number)
        self.levels = [
            self._level(known, numbers, length, real)
            for length, known in enumerate(levels, start=1)
        ]

    def _padded(self, documents: Sequence[Tokens]) -> tuple[Numbers, NDArray[np.bool_]]:
        """One behind the other, and which tokens are theirs and not put before them."""
        before = np.full(self.order - 1, self.end, np.int64)
        tokens = np.concatenate([part for d in documents for part in (before, d)])
        real = np.concatenate([np.arange(len(before) + len(d)) >= len(before) for d in documents])
        return tokens.astype(np.int64), real

    def _grams(self, numbers: Numbers, tokens: Numbers) -> Numbers:
        """What `_Order.grams` has, at each token; `numbers` are those of grams a token shorter."""
        contexts = np.concatenate([[0], numbers[:-1]])
        return np.where(contexts < 0, -1, contexts * self.vocabulary + tokens)

    def _level(
        self, known: Numbers, numbers: list[Numbers], length: int, real: NDArray[np.bool_]
    ) -> _Order:
        """Counts the grams of one length at the tokens that are real."""
        ends = np.flatnonzero(real)
        if length < self.order:
            # One place for each different gram that is a token longer.
            _, first = np.unique(numbers[length + 1][ends], return_index=True)
            ends = ends[first]
        counts = np.bincount(numbers[length][ends], minlength=len(known))
        contexts = known // self.vocabulary
        size = int(numbers[length - 1].max()) + 1
        totals = np.bincount(contexts, weights=counts, minlength=size).astype(np.int64)
        kinds = np.bincount(contexts, weights=counts > 0, minlength=size).astype(np.int64)
        once, twice = (counts == 1).sum(), (counts == 2).sum()
        discount = float(once / (once + 2 * twice)) if once and twice else 0.5
        return _Order(known, counts, totals, kinds, discount)

    def probabilities(self, document: Tokens) -> NDArray[np.float64]:
        """Of each token of a document, its end included, given those before it."""
        tokens, real = self._padded([document])
        result = np.full(len(tokens), 1 / self.vocabulary)
        numbers = np.zeros(len(tokens), np.int64)
        for level in self.levels:
            contexts = np.concatenate([[0], numbers[:-1]])
            numbers = level.find(self._grams(numbers, tokens))
            totals = np.where(contexts >= 0, level.totals[contexts], 0)
            counts = np.where(numbers >= 0, level.counts[numbers], 0)
            seen, total = totals > 0, np.maximum(totals, 1)
            own = np.maximum(counts - level.discount, 0) / total
            left = level.discount * level.kinds[contexts] / total
            result = np.where(seen, own + left * result, result)
        return result[real]
