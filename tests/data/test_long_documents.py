"""Documents as long as books: few at a time, and the same shards however often they are begun."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from data.shards import tokenize

BOOK = 500_000


class Library:
    """Books of equal length; a reader may be stopped before one of them."""

    def __init__(self, books: int, stop: int | None = None) -> None:
        self.name, self.description = "library", {"source": "books"}
        self.books, self.stop = books, stop

    def documents(self, skip: int = 0) -> Iterator[str]:
        for number in range(skip, self.books):
            if number == self.stop:
                raise KeyboardInterrupt
            yield f"{number:06}".ljust(BOOK, ".")


class Pieces:
    """A token for a thousand characters; it knows how much it was given at once."""

    name, sha256, size, end = "pieces", "0" * 64, 2, 0

    def __init__(self) -> None:
        self.most = 0

    def encode(self, texts: list[str]) -> list[list[int]]:
        self.most = max(self.most, sum(map(len, texts)))
        return [[1] * (len(text) // 1000) for text in texts]


def shards(corpus: Library, folder: Path, pieces: Pieces | None = None, **settings: Any) -> Any:
    chosen = {"held_out": 0.5, "shard_tokens": 2000} | settings
    return tokenize(corpus, pieces or Pieces(), folder, **chosen)  # type: ignore[arg-type]


def test_books_are_taken_few_at_a_time(tmp_path: Path) -> None:
    pieces = Pieces()
    found = shards(Library(40), tmp_path, pieces, most_tokens=1000)
    assert pieces.most <= 2_000_000
    # Four books at once are the most by which the limit is exceeded.
    assert 1000 <= found.tokens("train") < 1000 + 4 * (BOOK // 1000 + 1)


def test_an_interrupted_library_gives_the_same_bytes(tmp_path: Path) -> None:
    whole = shards(Library(40), tmp_path / "whole")
    for stop in (7, 23, None):
        corpus = Library(40, stop)
        if stop is None:
            assert shards(corpus, tmp_path / "cut") == whole
        else:
            with pytest.raises(KeyboardInterrupt):
                shards(corpus, tmp_path / "cut")
    bytes_of = [
        {path.name: path.read_bytes() for path in (tmp_path / name).glob("*.bin")}
        for name in ("whole", "cut")
    ]
    assert bytes_of[0] == bytes_of[1]


def test_shards_of_other_groups_are_kept_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("data.shards.CHARACTERS", float("inf"))
        before = shards(Library(40), tmp_path)
    assert shards(Library(40), tmp_path) == before
