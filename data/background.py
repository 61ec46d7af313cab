"""The text that facts are hidden in: sentences of a part of a corpus, over and over."""

import os
import random
import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data.packing import Stream
from data.subword import Subwords
from data.text import Text

# PG19, as parquet; BABILong's own text for this purpose.
PG19, PG19_SUBSET = "emozilla/pg19", "default"
PG19_REVISION = "c021754c8e01c5b1cc83a1f549c1f97fbbb756b8"
# Half of the documents are for training, the others for evaluation.
HELD_OUT = 0.5
# Of what a language model has read of the same text, where it is asked as it is: as `task=lm` does.
HELD_OUT_OF_LANGUAGE = 0.05
# Tokens that are looked through at a time.
BLOCK = 1_000_000
CLOSES = re.compile(r"[.!?][\"')]?$")
OPENS = re.compile(r"\s[\"'(]?[A-Z]|\s[\"'(]$")

Tokens = NDArray[np.int64]


def background_text(
    source: str, tokenizer: str, vocabulary: int, most_tokens: int, held_out: float
) -> Text:
    """Return the corpus of a background, in shards of tokens.

    Args:
        source: `english` for what packages ship; `pg19`, from `$TITANS_DATA/pg19` or the hub; or a
            file or folder of text.
        tokenizer: what `load_subwords` takes.
        vocabulary: the most pieces that it may have.
        most_tokens: that are taken for training, and about as many for evaluation.
        held_out: share of the documents that is for evaluation.
    """
    corpus, hub = source, {}
    if source == "pg19":
        local = Path(os.environ.get("TITANS_DATA", "")) / "pg19"
        there = bool(os.environ.get("TITANS_DATA")) and local.is_dir()
        corpus = str(local) if there else PG19
        hub = {"subset": PG19_SUBSET, "revision": PG19_REVISION}
    return Text(
        corpus,
        tokenizer=tokenizer,
        vocabulary=vocabulary,
        held_out=held_out,
        shard_tokens=BLOCK,
        most_tokens=most_tokens,
        **hub,
    )


class Background:
    """An endless text in which it is known where sentences begin.

    Args:
        stream: the tokens of a part; documents are apart by their end.
        subwords: their tokenizer.

    Raises:
        ValueError: no sentence begins in it.
    """

    def __init__(self, stream: Stream, subwords: Subwords) -> None:
        self.stream, self.end = stream, subwords.end
        # Nothing has ended before the question: documents are lines.
        self.line = subwords.encode(["\n"])[0][-1]
        self.closes, self.opens, self.breaks = _tables(subwords)
        found = [self._begins(start) for start in range(0, len(stream), BLOCK)]
        self.begins = np.concatenate([np.zeros(0, np.int64), *found])
        if not len(self.begins):
            raise ValueError(
                f"no sentence begins in the background's {len(stream)} tokens: give more text "
                "(task.background)"
            )

    def _begins(self, start: int) -> Tokens:
        """Where sentences begin in a block; the first token of all stands behind the last."""
        before = (start - 1) % len(self.stream)
        stop = min(start + BLOCK, len(self.stream))
        tokens = self.stream.read(start, stop)
        earlier = np.concatenate([self.stream.read(before, before + 1), tokens[:-1]])
        begins = (self.closes[earlier] & self.opens[tokens]) | self.breaks[earlier]
        return start + np.flatnonzero(begins & ~self.breaks[tokens])

    def opening(self, rng: random.Random) -> int:
        """Return where some sentence begins."""
        return int(self.begins[rng.randrange(len(self.begins))])

    def rank(self, place: int) -> int:
        """Return how many sentences begin before a place, which may be beyond the end."""
        copies, within = divmod(place, len(self.stream))
        return copies * len(self.begins) + int(np.searchsorted(self.begins, within))

    def begin(self, rank: int) -> int:
        """Return where the sentence with this number begins."""
        copies, number = divmod(rank, len(self.begins))
        return copies * len(self.stream) + int(self.begins[number])

    def read(self, start: int, stop: int) -> Tokens:
        """Return the tokens from `start` to `stop`; behind the last comes the first."""
        period = len(self.stream)
        found = [np.zeros(0, np.int64)]
        while start < stop:
            within = start % period
            piece = self.stream.read(within, min(within + stop - start, period))
            found.append(piece)
            start += len(piece)
        tokens = np.concatenate(found)
        tokens[tokens == self.end] = self.line
        return tokens


def _tables(subwords: Subwords) -> list[NDArray[np.bool_]]:
    """Of each token: whether a sentence ends with it, begins with it, or a line ends with it."""
    names = (subwords.tokenizer.id_to_token(number) or "" for number in range(subwords.size))
    # How byte-level and SentencePiece tokenizers write a space and a new line.
    texts = [re.sub("[Ġ▁]", " ", re.sub("Ċ|<0x0A>", "\n", name)) for name in names]
    closes = [bool(CLOSES.search(text)) for text in texts]
    opens = [bool(OPENS.match(text)) for text in texts]
    breaks = [text.endswith("\n") or number == subwords.end for number, text in enumerate(texts)]
    return [np.array(table, dtype=np.bool_) for table in (closes, opens, breaks)]
