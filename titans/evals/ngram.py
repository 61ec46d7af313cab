"""What an n-gram model makes of the same held-out documents."""

import time
from collections.abc import Iterator

import numpy as np

from titans.evals.kneser_ney import KneserNey
from titans.evals.perplexity import Text, scores
from titans.evals.score import Score
from titans.tasks import NextToken


class NGram:
    """The same scores of a Kneser-Ney model that has counted the training tokens.

    Args:
        text: where the documents come from.
        vocabulary: number of tokens.
        order: tokens of the longest grams.
        most_tokens: as for `Perplexity`.
        counted: so many training tokens are counted at most, from the beginning of the text.

    Raises:
        ValueError: one of these is below 1.
    """

    def __init__(
        self,
        text: Text,
        *,
        vocabulary: int,
        order: int = 5,
        most_tokens: int | None = None,
        counted: int = 20_000_000,
    ) -> None:
        if min(vocabulary, order, counted, most_tokens or 1) < 1:
            raise ValueError(
                "task.validation_tokens, and vocabulary, order and counted of task.evaluations."
                "ngram, are 1 or more"
            )
        self.text, self.vocabulary, self.order = text, vocabulary, order
        self.most_tokens, self.counted = most_tokens, counted

    def __call__(self, task: NextToken) -> Iterator[Score]:
        """Yields the three scores; they do not depend on the task's network."""
        began = time.monotonic()
        stream = self.text.stream("train")
        tokens = stream.read(0, min(len(stream), self.counted))
        ends = np.flatnonzero(tokens == self.text.end)
        documents = [d for d in np.split(tokens, ends + 1) if len(d)]
        model = KneserNey(
            documents, vocabulary=self.vocabulary, end=self.text.end, order=self.order
        )
        held_out = self.text.held_out_documents(self.most_tokens)
        total = -sum(float(np.log(model.probabilities(d)).sum()) for d in held_out.documents)
        seconds = time.monotonic() - began
        prefix = f"{self.order}gram_"
        for score in scores(self.text.name, total, held_out, seconds=seconds, model=prefix):
            yield score._replace(counts={**score.counts, "counted": len(tokens)})
