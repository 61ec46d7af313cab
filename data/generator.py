"""lm-eval's own generator of RULER prompts, kept quiet, offline and fast for long texts."""

import bisect
import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from typing import Any

from transformers import PreTrainedTokenizerFast

from data.haystack import REMEDY
from data.words import KINDS

# The generator grows a haystack in thousands of steps; at each it writes and tokenises all of it.
# Below this many tokens that is cheap; above, only sizes near the limit need an exact count.
EXACT_BELOW = 32_768
# How near: a share of the limit, as prose has more tokens in one place than in another; and tokens
# where one sentence is repeated, some three of the generator's steps.
NEAR = 0.01
NEAR_REPEATED = 2_048


class Unwritten:
    """A text of which nothing but the size is known."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __len__(self) -> int:
        return self.size

    def __add__(self, text: str) -> "Unwritten":
        return Unwritten(self.size + len(text))


class TokenCount:
    """Stands in for the tokenizer while prompts are sized: exact `near` tokens from `limit`."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, limit: int, near: float) -> None:
        self.tokenizer, self.limit, self.near = tokenizer, limit, near
        self.rate, self.measured = 0.0, 0

    def guesses(self, size: int) -> bool:
        """Whether a text of `size` characters is too far from the limit to be tokenised."""
        far = self.limit > EXACT_BELOW and self.rate * size < self.limit - self.near
        return far and size < 2 * self.measured

    def __call__(self, text: str | Unwritten) -> SimpleNamespace:
        """Return as many `input_ids` as the text has, or nearly so where that decides nothing."""
        if isinstance(text, Unwritten) or self.guesses(len(text)):
            return SimpleNamespace(input_ids=range(int(self.rate * len(text))))
        # Without offsets, which nobody reads here, this takes half the time.
        ids = self.tokenizer.backend_tokenizer.encode_batch_fast([text])[0].ids
        self.rate, self.measured = len(ids) / len(text), len(text)
        return SimpleNamespace(input_ids=ids)


class Repeater:
    """Stands in for what writes a repeated sentence: far from the limit it only draws."""

    def __init__(self, write: Callable[..., Any], count: TokenCount) -> None:
        self.write, self.count = write, count

    def __call__(self, copies: int, sentence: str, **choices: Any) -> Any:
        """Return the text, or its size, with the answers and the key that is asked for."""
        if not self.count.guesses(copies * (len(sentence) + len("\n"))):
            return self.write(copies, sentence, **choices)
        text, answers, key = self.write(copies, "", **choices)
        return Unwritten(len(text) + copies * len(sentence)), answers, key


class Sentences:
    """Punkt's sentences of any beginning of one text, found once."""

    def __init__(self, text: str, sample: str) -> None:
        # The generator asks for nltk's downloaded English model; the same algorithm learned from
        # the prose itself needs no download and hides needles in the same places but for a few.
        from nltk.tokenize.punkt import PunktSentenceTokenizer

        spans = list(PunktSentenceTokenizer(sample).span_tokenize(text))
        self.starts = [start for start, _ in spans]
        self.ends = [end for _, end in spans]
        self.parts = [text[start:end] for start, end in spans]

    def __call__(self, beginning: str) -> list[str]:
        """Split `beginning`, whose last sentence may be cut short."""
        whole = bisect.bisect_right(self.ends, len(beginning))
        rest = beginning[self.starts[whole] :] if whole < len(self.starts) else ""
        return self.parts[:whole] + [rest] * bool(rest)


@contextmanager
def replaced(module: Any, **attributes: Any) -> Iterator[None]:
    """Exchange a module's attributes for a while."""
    before = {name: getattr(module, name) for name in attributes}
    try:
        for name, attribute in attributes.items():
            setattr(module, name, attribute)
        yield
    finally:
        for name, attribute in before.items():
            setattr(module, name, attribute)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed the global generator that RULER draws from, and leave it as it was."""
    state = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(state)


def import_generator() -> Any:
    """Import lm-eval's generator without its attempt to download a sentence model."""
    import nltk
    from nltk import data as resources

    with replaced(nltk, download=lambda *_: True), replaced(resources, find=lambda *_: None):
        from lm_eval.tasks.ruler import prepare_niah
    return prepare_niah


def fill(needle: str, length: int, prose: str) -> tuple[list[str] | str, Callable[[str], Any]]:
    """Return the haystack as the generator takes it, and what splits it into sentences."""
    generator = import_generator()
    if needle == "niah_single_1":
        return generator.get_haystack("repeat"), generator.cached_sent_tokenize
    words = prose.split()
    if not words:
        raise ValueError(f"{needle} hides its needle in prose and got none: {REMEDY}.")
    # RULER repeats its essays where they are too short; a word is one token or more.
    words = (words * (length // len(words) + 2))[: length + 500]
    return words, Sentences(" ".join(words), prose)


def generate(
    needle: str,
    length: int,
    count: int,
    tokenizer: PreTrainedTokenizerFast,
    prose: str,
    seed: int,
) -> list[dict[str, Any]]:
    """Return the samples of lm-eval's generator, with the parameters of its task `needle`."""
    generator = import_generator()
    from lm_eval.tasks.ruler.niah_utils import TEMPLATE

    haystack, split = fill(needle, length, prose)
    repeats = needle == "niah_single_1"
    tokens = TokenCount(tokenizer, length, NEAR_REPEATED if repeats else NEAR * length)
    write = generator.generate_input_output
    with ExitStack() as stack:
        stack.enter_context(
            replaced(
                generator,
                tqdm=lambda samples, **_: samples,
                cached_sent_tokenize=split,
                generate_input_output=Repeater(write, tokens) if repeats else write,
            )
        )
        stack.enter_context(seeded(seed))
        samples: list[dict[str, Any]] = generator.generate_samples(
            haystack,
            TOKENIZER=tokens,
            max_seq_length=length,
            type_haystack="repeat" if repeats else "essay",
            type_needle_k="words",
            type_needle_v=f"{KINDS[needle]}s",
            template=TEMPLATE,
            num_samples=count,
        )
    return samples
