"""The n-gram model against its formula, literally, and against nltk's."""

import math
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
import pytest

from titans.evals.kneser_ney import KneserNey

END, VOCABULARY = 0, 7
RNG = np.random.default_rng(0)
TEXTS = [np.append(RNG.integers(1, 6, size=n), END) for n in (40, 25, 1, 60)]
# Token 6 is in no text that was counted.
NEW = np.array([1, 2, 6, 3, 3, 1, 5, 6, 6, 2, 4, END])


class Literal:
    """The formula with dictionaries, one gram after the other."""

    def __init__(self, documents: Sequence[Sequence[int]], order: int) -> None:
        self.order = order
        self.counts: list[Counter[tuple[int, ...]]] = [Counter() for _ in range(order + 1)]
        before: list[dict[tuple[int, ...], set[int]]] = [defaultdict(set) for _ in range(order)]
        for document in documents:
            padded = [END] * (order - 1) + list(document)
            for i in range(order - 1, len(padded)):
                self.counts[order][tuple(padded[i - order + 1 : i + 1])] += 1
                for length in range(1, order):
                    gram = tuple(padded[i - length + 1 : i + 1])
                    before[length][gram].add(padded[i - length])
        for length in range(1, order):
            self.counts[length].update({g: len(tokens) for g, tokens in before[length].items()})

    def p(self, token: int, context: tuple[int, ...]) -> float:
        counts = self.counts[len(context) + 1]
        once, twice = (sum(c == n for c in counts.values()) for n in (1, 2))
        discount = once / (once + 2 * twice) if once and twice else 0.5
        lower = self.p(token, context[1:]) if context else 1 / VOCABULARY
        behind = {g: c for g, c in counts.items() if g[:-1] == context}
        total = sum(behind.values())
        if not total:
            return lower
        own = max(counts.get((*context, token), 0) - discount, 0) / total
        return own + discount * len(behind) / total * lower


@pytest.mark.parametrize("order", [1, 2, 3, 5])
@pytest.mark.parametrize("document", [*TEXTS, NEW], ids=len)
def test_is_the_formula(order: int, document: np.ndarray) -> None:
    literal = Literal([text.tolist() for text in TEXTS], order)
    padded = [END] * (order - 1) + document.tolist()
    expected = [
        literal.p(padded[i], tuple(padded[i - order + 1 : i]))
        for i in range(order - 1, len(padded))
    ]
    model = KneserNey(TEXTS, vocabulary=VOCABULARY, end=END, order=order)
    np.testing.assert_allclose(model.probabilities(document), expected, rtol=1e-12)


@pytest.mark.parametrize("order", [1, 2, 5])
def test_probabilities_add_up_to_one(order: int) -> None:
    model = KneserNey(TEXTS, vocabulary=VOCABULARY, end=END, order=order)
    beginning = NEW[:5]
    last = [model.probabilities(np.append(beginning, token))[-1] for token in range(VOCABULARY)]
    assert math.isclose(sum(last), 1)
    assert min(last) > 0


def test_is_nltks_where_that_has_the_same_terms() -> None:
    """Its discount is the same at every length, and single tokens are not smoothed further."""
    from nltk.lm import KneserNeyInterpolated

    order, discount = 3, 0.5
    words = [["<s>"] * (order - 1) + [str(t) for t in text] for text in TEXTS]
    grams = [
        tuple(word[i - length + 1 : i + 1])
        for word in words
        for i in range(order - 1, len(word))
        for length in range(1, order + 1)
    ]
    theirs = KneserNeyInterpolated(order, discount)
    theirs.fit([grams], vocabulary_text=[w for word in words for w in word])
    # nltk counts the tokens in front of single tokens, among those that it has been given.
    ours = KneserNey(TEXTS, vocabulary=VOCABULARY, end=END, order=order)
    ours.levels = [level._replace(discount=discount) for level in ours.levels]
    ours.levels[0] = ours.levels[0]._replace(discount=0.0)
    found = ours.probabilities(TEXTS[0])
    padded = words[0]
    for i in range(order - 1, len(padded)):
        context = padded[i - order + 1 : i]
        assert found[i - order + 1] == pytest.approx(theirs.score(padded[i], context), rel=1e-9)


def test_what_was_not_counted_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="document"):
        KneserNey([], vocabulary=VOCABULARY, end=END)
