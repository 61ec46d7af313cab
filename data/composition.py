"""A story's facts among the sentences of a background, as a sequence that is read in pieces."""

import random
from collections.abc import Sequence
from typing import overload

import numpy as np

from data.background import Background, Tokens


class Span:
    """Some tokens of a background, which stay where they are until they are read.

    Args:
        background: where from.
        start: the first one.
        stop: behind the last one.
    """

    def __init__(self, background: Background, start: int, stop: int) -> None:
        self.background, self.start, self.stop = background, start, stop

    def __len__(self) -> int:
        return self.stop - self.start

    def __getitem__(self, part: slice) -> Tokens:
        """Return a part of it."""
        start, stop, _ = part.indices(len(self))
        return self.background.read(self.start + start, self.start + stop)


class Composed(Sequence[int]):
    """Pieces that are one sequence of tokens; what is not asked for takes no memory.

    Args:
        pieces: tokens, and spans of a background.
    """

    def __init__(self, pieces: Sequence[Span | Sequence[int]]) -> None:
        self.pieces = [
            piece if isinstance(piece, Span) else np.asarray(piece, np.int64) for piece in pieces
        ]
        self.starts = np.cumsum([0, *map(len, self.pieces)])

    def __len__(self) -> int:
        return int(self.starts[-1])

    @overload
    def __getitem__(self, part: int) -> int: ...

    @overload
    def __getitem__(self, part: slice) -> list[int]: ...

    def __getitem__(self, part: int | slice) -> int | list[int]:
        """Return a token, or those of a slice without a step."""
        if isinstance(part, slice):
            start, stop, _ = part.indices(len(self))
            tokens: list[int] = self.read(start, stop).tolist()
            return tokens
        place = range(len(self))[part]
        return int(self.read(place, place + 1)[0])

    def read(self, start: int, stop: int) -> Tokens:
        """Return the tokens from `start` to `stop`."""
        found = [np.zeros(0, np.int64)]
        first = int(np.searchsorted(self.starts, start, side="right")) - 1
        for begin, piece in zip(self.starts[first:-1], self.pieces[first:], strict=True):
            if begin >= stop:
                break
            found.append(piece[max(start - int(begin), 0) : stop - int(begin)])
        return np.concatenate(found)


def compose(
    facts: Sequence[Sequence[int]], background: Background | None, size: int, rng: random.Random
) -> list[Span | Sequence[int]]:
    """Scatter facts over a background, in their order, each before some sentence or at the end.

    Every place is as likely as another, and facts may share one. The background begins with a
    sentence, and its last one is cut where there are `size` tokens.

    Args:
        facts: the tokens of each.
        background: None for the facts alone.
        size: tokens of all together; of facts alone, the most.
        rng: draws the background's beginning and the places.

    Returns:
        The pieces, of which `Composed` makes a sequence.

    Raises:
        ValueError: the facts have more than `size` tokens.
    """
    room = size - sum(map(len, facts))
    if room < 0:
        raise ValueError(f"{size - room} tokens of facts do not fit {size}")
    if background is None:
        return list(facts)
    start = background.opening(rng)
    first, last = background.rank(start), background.rank(start + room)
    # The place numbered `last` is the end.
    numbers = sorted(rng.randint(first, last) for _ in facts)
    places = [start + room if n == last else background.begin(n) for n in numbers]
    pieces: list[Span | Sequence[int]] = []
    before = start
    for place, fact in zip(places, facts, strict=True):
        pieces += [Span(background, before, place), fact]
        before = place
    return [*pieces, Span(background, before, start + room)]
