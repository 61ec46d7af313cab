"""How a story and its question are put to a model, and when its answer is right."""

import random
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from data.babi import KINDS, Story
from data.background import Background
from data.composition import Composed, compose
from data.subword import Subwords

# The benchmark's own words for a model that was not trained on it.
PROMPTS = Path(__file__).parent / "samples" / "babilong" / "prompts.yaml"
SETUPS = ("fine_tuned", "few_shot")


class Form:
    """Prompts of one setup.

    `fine_tuned` is the text, the question, and "Answer:". `few_shot` has BABILong's instruction and
    examples before the text, as published, and begins with the end of another document.

    Args:
        setup: `fine_tuned` or `few_shot`.
        task: `qa1` to `qa5`.
        subwords: the tokenizer.
    """

    def __init__(self, setup: str, task: str, subwords: Subwords) -> None:
        self.subwords = subwords
        self.opening, self.asking = list[int](), " {question} Answer:"
        if setup == "few_shot":
            words: dict[str, Any] = yaml.safe_load(PROMPTS.read_text(encoding="utf-8"))
            self.opening = [subwords.end, *self._encode(words["before"].format(**words[task]))]
            self.asking = words["after"]
        # A few thousand sentences are all that bAbI ever says.
        self.fact = cache(lambda text: self._encode(f" {text}"))
        self.question = cache(lambda text: self._encode(self.asking.format(question=text)))

    def _encode(self, text: str) -> list[int]:
        return self.subwords.encode([text])[0]

    def answer(self, story: Story) -> list[int]:
        """Return the tokens of the answer and of the end."""
        return [*self._encode(f" {story.answer}"), self.subwords.end]

    def shortest(self, story: Story) -> int:
        """Return the tokens of a prompt that has the facts alone."""
        around = len(self.opening) + len(self.question(story.question))
        return around + sum(len(self.fact(fact)) for fact in story.facts)

    def prompt(
        self, story: Story, background: Background, length: int, rng: random.Random
    ) -> Composed:
        """Return all up to the answer: `length` tokens, or for length 0 the facts alone.

        Raises:
            ValueError: facts and question have more.
        """
        facts = [self.fact(fact) for fact in story.facts]
        question = self.question(story.question)
        around = len(self.opening) + len(question)
        size = (length or self.shortest(story)) - around
        scattered = compose(facts, background if length else None, size, rng)
        return Composed([self.opening, *scattered, question])


def right(output: str, story: Story, task: str) -> bool:
    """Whether an output answers a story's question, as BABILong decides it.

    Its first sentence names the answer, and no other label but those that the question names.
    Capitals do not matter; what follows another `<context>` or `<example>` does not count.
    """
    said = output.lower()
    for stop in (".", "<context>", "<example>"):
        said = said.partition(stop)[0]
    question = story.question.lower()
    named = {label.lower() for label in KINDS[task].labels if label.lower() in said}
    return {label for label in named if label not in question} == {story.answer.lower()}
