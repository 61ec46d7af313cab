"""RULER's needles: how often the continuation of a prompt holds the hidden value."""

import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any, Protocol, runtime_checkable

from rich.progress import track

from titans.evals.generate import generate
from titans.evals.score import Score
from titans.models import LanguageModel
from titans.tasks import NextToken


@runtime_checkable
class Prompt(Protocol):
    """A question whose answer is known to who made it."""

    @property
    def tokens(self) -> Sequence[int]:
        """What is read; it may be made while it is read."""


@runtime_checkable
class Prompts(Protocol):
    """Where the prompts come from."""

    end: int

    def __iter__(self) -> Iterator[tuple[str, Sequence[Prompt]]]:
        """Pairs of a score's name, e.g. `niah_single_1/2048`, and its prompts."""

    def decode(self, tokens: list[int]) -> str:
        """The text of a continuation."""

    def score(self, output: str, prompt: Any) -> float:
        """1 where the output answers the prompt, 0 where it does not."""


class Needle:
    """Accuracy in percent by needle type and length.

    Args:
        prompts: the evaluation prompts.
        new_tokens: at most so many are generated, as RULER does.
        batch: prompts read side by side.
        piece: tokens of each that are read at a time.

    Raises:
        ValueError: one of these is below 1.
    """

    def __init__(
        self, prompts: Prompts, *, new_tokens: int = 128, batch: int = 10, piece: int = 1024
    ) -> None:
        if min(new_tokens, batch, piece) < 1:
            raise ValueError("new_tokens, batch and piece of an evaluation are 1 or more")
        self.prompts, self.new_tokens, self.batch, self.piece = prompts, new_tokens, batch, piece

    def __call__(self, task: NextToken) -> Iterator[Score]:
        """Yields percents one after the other, with the prompts and the seconds behind each."""
        network = task.network.eval()
        for name, prompts in self.prompts:
            began = time.monotonic()
            # Equal lengths together: the ragged ends are read token by token.
            ordered = sorted(prompts, key=lambda prompt: len(prompt.tokens))
            batches = [ordered[i : i + self.batch] for i in range(0, len(ordered), self.batch)]
            hits = [
                self._score(network, batch)
                for batch in track(batches, name, transient=True, disable=not sys.stdout.isatty())
            ]
            seconds = round(time.monotonic() - began, 2)
            counts = {"prompts": len(ordered), "seconds": seconds}
            yield Score(name, 100 * sum(hits) / len(ordered), counts)

    def _score(self, network: LanguageModel, batch: Sequence[Prompt]) -> float:
        outputs = generate(
            network,
            [prompt.tokens for prompt in batch],
            new_tokens=self.new_tokens,
            end=self.prompts.end,
            piece=self.piece,
        )
        return sum(
            self.prompts.score(self.prompts.decode(output), prompt)
            for output, prompt in zip(outputs, batch, strict=True)
        )
