"""BABILong's prompts that a run is scored on; they are composed while they are read."""

import logging
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import NamedTuple

from data.babi import Story
from data.babilong import Babilong
from data.babilong_form import right
from data.background import Background
from data.composition import Composed

log = logging.getLogger(__name__)


class Prompt(NamedTuple):
    """A text that ends where the answer begins, and the story it tells."""

    tokens: Composed
    story: Story


class BabilongPrompts:
    """Test questions of a task, in texts of several lengths.

    Args:
        source: stories and background.
        lengths: tokens of a prompt up to the answer; 0 is the facts alone.
        prompts: questions a length, fewer where not as many fit it.

    Raises:
        ValueError: nothing to ask.
    """

    def __init__(self, source: Babilong, *, lengths: Sequence[int], prompts: int = 100) -> None:
        self.source = source
        self.lengths, self.count = sorted({int(length) for length in lengths}), prompts
        if not self.lengths or self.lengths[0] < 0 or prompts < 1:
            raise ValueError(
                f"nothing to ask: task.lengths={self.lengths} are tokens, 0 or more, and "
                f"task.prompts={prompts} is 1 or more"
            )

    @property
    def name(self) -> str:
        """What is asked."""
        return f"{self.source.dataset}, {self.source.name}"

    @property
    def chance(self) -> float:
        """Percent of the test questions that have the answer which most of them have."""
        answers = Counter(story.answer for story in self.source.facts.test)
        return 100 * max(answers.values()) / answers.total()

    @property
    def end(self) -> int:
        """The token that ends an answer."""
        return self.source.subwords.end

    @property
    def tokenizer(self) -> str:
        """The pieces, as a `tokenizer.json` has them."""
        return self.source.subwords.content.decode()

    @cached_property
    def background(self) -> Background:
        """The documents that no training prompt has."""
        return self.source.background("validation")

    def __iter__(self) -> Iterator[tuple[str, list[Prompt]]]:
        """Score's name, `<facts>_in_<background>/<length>`, and its prompts; short ones first."""
        for length in self.lengths:
            yield f"{self.source.name}/{length}", self.of(length)

    def of(self, length: int) -> list[Prompt]:
        """Return the prompts of a length.

        Raises:
            ValueError: no question fits it.
        """
        form, source = self.source.form, self.source
        fitting = [
            (number, story)
            for number, story in enumerate(source.facts.test)
            if not length or form.shortest(story) <= length
        ]
        if not fitting:
            shortest = min(map(form.shortest, source.facts.test))
            raise ValueError(
                f"task.lengths={length} has no room for a question: they begin at {shortest}"
            )
        if len(fitting) < self.count:
            log.warning("%d tokens: only %d questions fit", length, len(fitting))
        return [
            Prompt(
                form.prompt(
                    story, self.background, length, random.Random(f"{source.dataset}/{length}/{n}")
                ),
                story,
            )
            for n, story in fitting[: self.count]
        ]

    def decode(self, tokens: list[int]) -> str:
        """The text of generated tokens."""
        return self.source.subwords.tokenizer.decode(tokens)

    def score(self, output: str, prompt: Prompt) -> float:
        """1 where the output is BABILong's right answer, 0 where it is not."""
        return float(right(output, prompt.story, self.source.dataset))
