"""The sentences of a RULER needle prompt, and keys that RULER itself never draws.

They restate strings of lm-eval's `ruler` tasks, whose import costs ten seconds and a gigabyte
(it builds every adjective-noun pair); a test holds the two together.
"""

import random
import uuid
from functools import cache

KINDS = {"niah_single_1": "number", "niah_single_2": "number", "niah_single_3": "uuid"}


def opening(kind: str) -> str:
    """Return the line before the haystack."""
    return (
        f"A special magic {kind} is hidden within the following text. Make sure to memorize it. "
        f"I will quiz you about the {kind} afterwards."
    )


def needle(kind: str, key: str, value: str) -> str:
    """Return the sentence that is hidden."""
    return f"One of the special magic {kind}s for {key} is: {value}."


def question(kind: str, key: str) -> str:
    """Return the question with the beginning of its answer, as lm-eval joins them."""
    return (
        f"What is the special magic {kind} for {key} mentioned in the provided text? "
        f"The special magic {kind} for {key} mentioned in the provided text is"
    )


@cache
def categories() -> dict[str, list[str]]:
    """Return the word lists RULER draws from, where it looks for them."""
    from wonderwords import RandomWord

    return dict(RandomWord()._categories)


def adjectives() -> list[str]:
    """Return the first halves of RULER's keys."""
    return categories()["adjectives"]


def nouns() -> list[str]:
    """Return the second halves of RULER's keys."""
    return categories()["nouns"]


@cache
def key_parts() -> tuple[list[str], list[str]]:
    """Return the halves of training keys: noun-noun, where RULER has adjective-noun.

    Plain words only, so that the one hyphen cannot be read as part of either half.
    """
    plain = [noun for noun in nouns() if noun.isascii() and noun.isalpha()]
    known = set(adjectives())
    return [noun for noun in plain if noun not in known], plain


def value(kind: str, rng: random.Random) -> str:
    """Draw a value of RULER's form: seven digits or a version-4 uuid."""
    if kind == "number":
        return str(rng.randint(10**6, 10**7 - 1))
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))
