"""The text that a language model is trained and scored on, as tokens."""

import hashlib
import json
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tokenizers import Tokenizer

from data.english import English
from data.fineweb import HubDocuments
from data.manifest import FILE, Manifest, Shard, remedy
from data.packing import Stream, Tokens
from data.shards import Corpus, tokenize, training_part
from data.store import cache_folder, digest
from data.subword import Subwords, learn_subwords, load_subwords
from data.text_files import TextFiles

TOKENIZER = "tokenizer.json"


class HeldOut(NamedTuple):
    """Documents that are not trained on, each with its end, and the size of their text."""

    documents: list[Tokens]
    words: int
    bytes: int


class Text:
    """A corpus in shards of tokens; nothing is read before it is asked for.

    Args:
        corpus: `english` for what packages ship, a file or folder of text, or a repository of the
            hub.
        tokenizer: a file, a folder or a repository of the hub; None learns pieces from the
            training part.
        vocabulary: the most pieces; as many are learned.
        held_out: share of the documents that is the validation part.
        shard_tokens: training tokens of a shard.
        most_tokens: training tokens that are taken of the corpus; None for all.
        subset: of the hub's repository.
        revision: a commit of it.
        column: where the hub's rows, and those of files, have the text.

    Raises:
        ValueError: a share or a number that cannot be.
    """

    def __init__(
        self,
        corpus: str = "english",
        *,
        tokenizer: str | None = None,
        vocabulary: int = 4096,
        held_out: float = 0.05,
        shard_tokens: int = 100_000_000,
        most_tokens: int | None = None,
        subset: str = "sample-10BT",
        revision: str = "main",
        column: str = "text",
    ) -> None:
        if not 0 < held_out < 1:
            raise ValueError(f"task.held_out is {held_out}, and should be between 0 and 1")
        if shard_tokens < 1 or vocabulary < 257:
            raise ValueError("task.shard_tokens is 1 or more, task.vocabulary 257 or more")
        self.corpus_name, self.tokenizer_name, self.vocabulary = corpus, tokenizer, vocabulary
        self.held_out, self.shard_tokens, self.most_tokens = held_out, shard_tokens, most_tokens
        self.hub = {"subset": subset, "revision": revision, "column": column}

    @cached_property
    def corpus(self) -> Corpus:
        """Where the documents come from."""
        name = self.corpus_name
        if name == "english":
            return English()
        # An owner and a name, and nothing here that is called so.
        if name.count("/") == 1 and not name.startswith(("/", ".")) and not Path(name).exists():
            return HubDocuments(name, **self.hub)
        return TextFiles(Path(name).absolute(), self.hub["column"])

    @cached_property
    def folder(self) -> Path:
        """Where the shards of this corpus, tokenizer and parting are kept."""
        settings = [self.held_out, self.shard_tokens, self.most_tokens]
        pieces = self.loaded.sha256 if self.loaded else self.vocabulary
        described = json.dumps([self.corpus.description, pieces, settings])
        key = hashlib.sha256(described.encode()).hexdigest()[:12]
        return cache_folder() / "language" / f"{self.corpus.name}-{key}"

    @cached_property
    def loaded(self) -> Subwords | None:
        """The tokenizer that is named; None where one is learned."""
        return None if self.tokenizer_name is None else load_subwords(self.tokenizer_name)

    @cached_property
    def manifest(self) -> Manifest:
        """What the shards are; they are made where they are not there, and verified.

        Raises:
            FileNotFoundError: corpus or tokenizer are not to be had.
            ValueError: one of them, or a shard, is damaged, or they do not fit.
        """
        subwords = self.loaded or self._learned()
        if subwords.size > self.vocabulary:
            raise ValueError(
                f"the tokenizer {subwords.name} has {subwords.size} pieces: set "
                f"task.vocabulary={subwords.size} instead of {self.vocabulary}"
            )
        subwords.save(self.folder / TOKENIZER)
        return tokenize(
            self.corpus,
            subwords,
            self.folder,
            held_out=self.held_out,
            shard_tokens=self.shard_tokens,
            most_tokens=self.most_tokens,
        )

    def _learned(self) -> Subwords:
        """The pieces that the shards have, or new ones where there are no shards yet."""
        if not (self.folder / FILE).is_file():
            return learn_subwords(training_part(self.corpus, self.held_out), self.vocabulary)
        path, known = self.folder / TOKENIZER, Manifest.load(self.folder)
        if not path.is_file() or digest(path) != known.tokenizer["sha256"]:
            raise ValueError(
                f"{path} is missing or not the one of its shards: {remedy(self.folder)}"
            )
        return Subwords(Tokenizer.from_file(str(path)), known.tokenizer["name"], known.end)

    @property
    def name(self) -> str:
        """What scores on it are called."""
        return self.corpus.name

    @property
    def end(self) -> int:
        """The token behind every document."""
        return self.manifest.end

    @property
    def tokenizer(self) -> str:
        """The pieces of the shards, as a `tokenizer.json` has them."""
        assert self.manifest
        return (self.folder / TOKENIZER).read_text(encoding="utf-8")

    def stream(self, part: str) -> Stream:
        """All tokens of a part, in the order of its documents."""
        return Stream([self._mapped(shard) for shard in self.manifest.shards(part)])

    def held_out_documents(self, most_tokens: int | None = None) -> HeldOut:
        """The validation part: the first shards that have as many tokens, None for all."""
        documents, words, size, count = list[Tokens](), 0, 0, 0
        for shard in self.manifest.shards("validation"):
            tokens = self._mapped(shard)
            documents += np.split(tokens, np.flatnonzero(tokens == self.end)[:-1] + 1)
            words, size, count = words + shard.words, size + shard.bytes, count + shard.tokens
            if most_tokens is not None and count >= most_tokens:
                break
        return HeldOut(documents, words, size)

    def _mapped(self, shard: Shard) -> Tokens:
        return np.memmap(self.folder / shard.file, dtype="<u2", mode="r")
