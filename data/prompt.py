"""Training prompts assembled from pieces that are tokenised once."""

import random
from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from data import words

Tokens = NDArray[np.int64]
Encode = Callable[[str], list[int]]
IGNORED = -100
# Shorter than this a text hides nothing.
MINIMUM = 8
# Keys and cuts are drawn again where their lengths do not add up.
ATTEMPTS = 256
# A needle without its first words; its key; its value with the full stop.
Hidden = tuple[list[int], list[int], list[int]]


class Haystack:
    """An endless text of which any number of tokens can be cut that ends with a sentence.

    The first sentence of a cut may begin at any of its words: so its length is exact, and its text
    has no other tokens than these.
    """

    def __init__(self, sentences: Sequence[str], joiner: str, encode: Encode, longest: int) -> None:
        self.joiner, encode = joiner, cache(encode)
        pieces: list[list[int]] = []
        # The tokens of each word at the beginning of a cut, and after a needle that stands there.
        first: tuple[list[list[int]], list[list[int]]] = ([], [])
        ends: list[int] = []
        for sentence in sentences:
            for index, word in enumerate(sentence.split(" ")):
                pieces.append(encode((" " if index else joiner) + word))
                first[0].append(encode(word))
                first[1].append(encode(joiner + word))
            ends.append(len(pieces))
        self.first = first
        self._tile(pieces, ends, longest)

    def _tile(self, pieces: list[list[int]], ends: list[int], longest: int) -> None:
        """Repeat the text until a cut of `longest` tokens fits before each end of its last copy."""
        after = np.cumsum([len(piece) for piece in pieces])
        period = int(after[-1])
        copies = longest // period + 2
        self.sentence = period / len(ends)
        text = np.fromiter((token for piece in pieces for token in piece), np.int64, period)
        self.tokens = np.tile(text, copies)
        within = after[np.asarray(ends) - 1]
        self.ends = within + (copies - 1) * period
        self.sentences = np.concatenate([within + copy * period for copy in range(copies)])
        self.after = np.concatenate([after + copy * period for copy in range(copies)])
        # Where a cut begins -> the word it begins with; one table for each form of that word.
        self.begins = np.full((2, len(self.tokens)), -1, np.int64)
        for form in (0, 1):
            sizes = np.tile([len(tokens) for tokens in self.first[form]], copies)
            starts = self.after - sizes
            inside = starts >= 0
            self.begins[form, starts[inside]] = np.flatnonzero(inside)

    def cut(self, size: int, follows: bool, rng: random.Random) -> tuple[Tokens, Tokens] | None:
        """Cut `size` tokens; return them and the sentence ends inside, or None if nothing fits.

        Args:
            size: the number of tokens.
            follows: whether the cut stands behind a needle, not at the beginning of the text.
            rng: draws the place.
        """
        form = int(follows)
        for _ in range(16):
            end = int(self.ends[rng.randrange(len(self.ends))])
            word = int(self.begins[form, end - size])
            if word >= 0 and self.after[word] <= end:
                break
        else:
            return None
        tokens = np.concatenate(
            [self.first[form][word % len(self.first[form])], self.tokens[self.after[word] : end]]
        )
        low, high = np.searchsorted(self.sentences, (end - size, end), side="right")
        return tokens, self.sentences[low:high] - (end - size)


class Writer:
    """Writes prompts of one needle type, with RULER's sentences and keys RULER never draws."""

    def __init__(self, needle: str, haystack: Haystack, encode: Encode, end: int) -> None:
        self.kind, self.haystack, self.encode = words.KINDS[needle], haystack, encode
        lead, trail = words.needle(self.kind, "@", "@").split(" @", 1)
        # RULER's prose keeps the space before a needle that begins it; its repeated lines do not.
        alone = lead if haystack.joiner == "\n" else haystack.joiner + lead
        self.lead = (encode(alone), encode(haystack.joiner + lead))
        self.colon, self.stop = (encode(part) for part in trail.split(" @"))
        self.opening = np.asarray(encode(words.opening(self.kind) + "\n"))
        self.question = [encode(part) for part in f"\n{words.question(self.kind, '@')}".split(" @")]
        self.keys = [
            [encode(mark + word) for word in half]
            for mark, half in zip((" ", "-"), words.key_parts(), strict=True)
        ]
        self.end = [end]
        self.cost = max(self._cost(random.Random(seed)) for seed in range(32))
        self.shortest = len(self.opening) + MINIMUM + self.cost

    def most(self, length: int) -> int:
        """Return how many needles a prompt of `length` tokens has room for."""
        return max(0, length - self.shortest + self.cost) // self.cost

    def write(self, length: int, needles: int, rng: random.Random) -> tuple[Tokens, Tokens]:
        """Return `length` tokens and as many targets, with at most that many needles."""
        needles = min(needles, self.most(length))
        for attempt in range(ATTEMPTS):
            row = self._attempt(length, max(1, needles - attempt // 8), rng)
            if row is not None:
                return row
        raise ValueError(f"A text of {length} tokens has no room to hide a {self.kind}.")

    def _attempt(
        self, length: int, needles: int, rng: random.Random
    ) -> tuple[Tokens, Tokens] | None:
        hidden = [self._hide(rng) for _ in range(needles)]
        quiz, answers = self._quiz(rng.sample(hidden, needles))
        room = length + 1 - len(self.opening) - len(quiz)
        context = self._context([needle for needle, _, _ in hidden], room, rng)
        if context is None:
            return None
        text = np.concatenate([self.opening, *context, quiz])
        targets = np.full(length, IGNORED, np.int64)
        start = length + 1 - len(quiz)
        for low, high in answers:
            targets[start + low - 1 : start + high - 1] = text[start + low : start + high]
        return text[:-1], targets

    def _hide(self, rng: random.Random) -> Hidden:
        """Draw a needle (without its first words), its key and its value with the full stop."""
        first, second = self.keys
        key = rng.choice(first) + rng.choice(second)
        answer = self.encode(f" {words.value(self.kind, rng)}") + self.stop
        return key + self.colon + answer, key, answer

    def _quiz(self, asked: list[Hidden]) -> tuple[list[int], list[tuple[int, int]]]:
        """Ask for each needle; return the tokens and where the answers are."""
        quiz: list[int] = []
        answers = []
        before, between, after = self.question
        for _, key, answer in asked:
            quiz += before + key + between + key + after
            answers.append((len(quiz), len(quiz) + len(answer)))
            quiz += answer
        quiz += self.end
        answers[-1] = (answers[-1][0], len(quiz))
        return quiz, answers

    def _context(
        self, needles: list[list[int]], room: int, rng: random.Random
    ) -> list[Tokens | list[int]] | None:
        """Hide the needles between sentences so that all together fill `room` tokens."""
        room -= sum(len(needle) + len(self.lead[1]) for needle in needles)
        places = 1 + room / self.haystack.sentence
        begins = rng.random() * places < len(needles)
        room += begins * (len(self.lead[1]) - len(self.lead[0]))
        cut = self.haystack.cut(room, begins, rng) if room >= MINIMUM else None
        if cut is None or len(cut[1]) < len(needles) - begins:
            return None
        tokens, ends = cut
        chosen = sorted(rng.sample(ends.tolist(), len(needles) - begins))
        context: list[Tokens | list[int]] = [self.lead[0] + needles[0]] if begins else []
        last = 0
        for place, needle in zip(chosen, needles[begins:], strict=True):
            context += [tokens[last:place], self.lead[1] + needle]
            last = place
        return [*context, tokens[last:]]

    def _cost(self, rng: random.Random) -> int:
        hidden = self._hide(rng)
        return len(self.lead[1]) + len(hidden[0]) + len(self._quiz([hidden])[0])
