"""The prompts that a run is scored on, in the order in which they are asked."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from data import haystack
from data.ruler import Prompt, evaluation_prompts, score
from data.tokenizer import FOLDER, load_tokenizer
from data.words import KINDS

# Below, RULER's generator finds no room between its question and the 128 tokens of an answer.
SHORTEST = 512


class RulerPrompts:
    """RULER's prompts of several needles and lengths.

    Args:
        prompts: needle type -> prompts a length; 0 leaves the type out.
        lengths: tokens of a prompt, as RULER counts them.
        tokenizer: a tokenizer folder.
        prose: a file of prose; None looks where `data.haystack.source` says.
        seed: of lm-eval's generator, whose own default is 0.

    Raises:
        ValueError: an unknown needle, or nothing to ask.
    """

    def __init__(
        self,
        *,
        prompts: Mapping[str, int],
        lengths: Sequence[int],
        tokenizer: str | Path = FOLDER,
        prose: str | None = None,
        seed: int = 0,
    ) -> None:
        unknown = set(prompts) - set(KINDS)
        if unknown:
            raise ValueError(f"{sorted(unknown)} are none of the needles {', '.join(KINDS)}")
        self.counts = {name: int(count) for name, count in prompts.items() if count}
        self.seed = seed
        self.lengths = sorted(int(length) for length in lengths)
        if not self.counts or not self.lengths:
            raise ValueError("nothing to ask: set task.prompts and task.lengths")
        if min(self.lengths) < SHORTEST or min(self.counts.values()) < 0:
            raise ValueError(
                f"RULER's prompts have {SHORTEST} tokens or more, and there is no less than none "
                f"of them: task.lengths={self.lengths}, task.prompts={self.counts}"
            )
        self.tokenizer = load_tokenizer(tokenizer)
        self.end: int = self.tokenizer.eos_token_id
        in_prose = any(name != "niah_single_1" for name in self.counts)
        self.prose = haystack.prose(prose)[0] if in_prose else ""

    def __iter__(self) -> Iterator[tuple[str, list[Prompt]]]:
        """Score's name, `<needle>/<length>`, and its prompts; short ones first."""
        for length in self.lengths:
            for name, count in self.counts.items():
                prompts = evaluation_prompts(
                    name, length, count, self.tokenizer, self.prose, self.seed
                )
                yield f"{name}/{length}", prompts

    def score(self, output: str, prompt: Prompt) -> float:
        """RULER's score of a continuation."""
        return score(output, prompt.answers)

    def decode(self, tokens: list[int]) -> str:
        """The text of generated tokens."""
        text: str = self.tokenizer.decode(tokens)
        return text
