"""Tokenises a corpus once, into shards that a run reads from then on."""

import hashlib
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from filelock import FileLock

from data.manifest import FILE, PARTS, Manifest, Shard, remedy, verify
from data.store import write_atomically
from data.subword import Subwords

# Documents that are tokenised side by side: so many, or fewer once they have so many characters. Of
# whole books 256 would be gigabytes while they are tokenised, and go far beyond a limit.
TOGETHER, CHARACTERS = 256, 2_000_000

log = logging.getLogger(__name__)


class Corpus(Protocol):
    """Where documents come from, always in the same order."""

    @property
    def name(self) -> str:
        """What scores on it are called."""

    @property
    def description(self) -> dict[str, Any]:
        """What it is; another description is another corpus."""

    def documents(self, skip: int = 0) -> Iterator[str]:
        """The documents from the one with this number on."""


def part_of(text: str, held_out: float) -> str:
    """Return `validation` for a share of all documents, decided by what is in them alone."""
    number = int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:8])
    return "validation" if number < held_out * 2**64 else "train"


def training_part(corpus: Corpus, held_out: float) -> Iterator[str]:
    """Yield the documents that are not held out."""
    return (text for text in corpus.documents() if part_of(text, held_out) == "train")


@dataclass
class _Pending:
    """Documents of one part that will be a shard."""

    tokens: list[np.ndarray[Any, np.dtype[np.uint16]]] = field(default_factory=list)
    count: int = 0
    words: int = 0
    bytes: int = 0

    def add(self, text: str, tokens: list[int], end: int) -> None:
        self.tokens.append(np.array([*tokens, end], dtype="<u2"))
        self.count += len(tokens) + 1
        self.words += len(text.split())
        self.bytes += len(text.encode("utf-8", "surrogatepass"))

    def write(self, folder: Path, part: str, number: int) -> Shard:
        content = np.concatenate(self.tokens).tobytes()
        file = f"{part}-{number:05d}.bin"
        write_atomically(folder / file, content)
        sha256 = hashlib.sha256(content).hexdigest()
        return Shard(file, part, len(self.tokens), self.count, self.words, self.bytes, sha256)


def tokenize(
    corpus: Corpus,
    subwords: Subwords,
    folder: Path,
    *,
    held_out: float,
    shard_tokens: int,
    most_tokens: int | None = None,
) -> Manifest:
    """Write the shards of a corpus, or go on where a process that was killed left off.

    A shard is written whole or not at all, and what the manifest lists is verified and kept. The
    same corpus gives the same bytes, however often it was interrupted.

    Args:
        corpus: where documents come from.
        subwords: their tokenizer.
        folder: for the shards; one process at a time writes there.
        held_out: share of the documents that is the validation part.
        shard_tokens: a shard is closed once it has as many training tokens.
        most_tokens: reading ends once there are as many training tokens; None for all there are.

    Raises:
        ValueError: a listed shard is damaged, the vocabulary does not fit two bytes, or a part
            has no document.
    """
    if subwords.size > 2**16:
        raise ValueError(f"{subwords.size} pieces do not fit two bytes: take another tokenizer")
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".lock"):
        settings = {
            "held_out": held_out,
            "shard_tokens": shard_tokens,
            "most_tokens": most_tokens,
        }
        manifest = _begun(corpus, subwords, folder, settings)
        if manifest.complete:
            return manifest
        read = manifest.read[-1] if manifest.read else 0
        documents = corpus.documents(skip=read)
        limit = float("inf") if most_tokens is None else most_tokens
        while manifest.tokens("train") < limit:
            wanted = min(shard_tokens, limit - manifest.tokens("train"))
            group, count = _gather(documents, subwords, held_out, wanted)
            if not count:
                break
            read += count
            number = len(manifest.groups)
            shards = [p.write(folder, part, number) for part, p in group.items() if p.tokens]
            manifest = manifest.with_group(shards, read)
            manifest.write(folder)
            log.info("tokenised %s tokens", f"{manifest.tokens('train'):,}")
        return _completed(manifest, folder)


def _begun(corpus: Corpus, subwords: Subwords, folder: Path, settings: dict[str, Any]) -> Manifest:
    """The manifest that is there, its shards verified, or a new one."""
    for half in folder.glob(".*.bin.*"):
        half.unlink()
    if not (folder / FILE).is_file():
        kind = {"name": subwords.name, "size": subwords.size, "sha256": subwords.sha256}
        return Manifest(corpus.description, corpus.name, kind, subwords.end, settings)
    manifest = Manifest.load(folder)
    if manifest.tokenizer["sha256"] != subwords.sha256:
        raise ValueError(f"the shards in {folder} have another tokenizer: {remedy(folder)}")
    for part in PARTS:
        for shard in manifest.shards(part):
            verify(folder, shard)
    return manifest


def _gather(
    documents: Iterable[str], subwords: Subwords, held_out: float, wanted: float
) -> tuple[dict[str, _Pending], int]:
    """The documents up to so many training tokens, by part, and how many were read."""
    group, read = {part: _Pending() for part in PARTS}, 0
    documents = iter(documents)
    while group["train"].count < wanted:
        if not (texts := _together(documents)):
            break
        read += len(texts)
        for text, tokens in zip(texts, subwords.encode(texts), strict=True):
            group[part_of(text, held_out)].add(text, tokens, subwords.end)
    return group, read


def _together(documents: Iterator[str]) -> list[str]:
    """The next documents, one at least if there is any; they alone decide how many."""
    texts: list[str] = []
    characters = 0
    while len(texts) < TOGETHER and characters < CHARACTERS:
        text = next(documents, None)
        if text is None:
            break
        texts.append(text)
        characters += len(text)
    return texts


def _completed(manifest: Manifest, folder: Path) -> Manifest:
    for part in PARTS:
        if not manifest.shards(part):
            documents = manifest.read[-1] if manifest.read else 0
            raise ValueError(
                f"of {documents} documents of {manifest.name} none is in the {part} part: give "
                f"more of them (a line of a .jsonl file is one), or set task.held_out, which is "
                f"{manifest.settings['held_out']}"
            )
    done = replace(manifest, complete=True)
    done.write(folder)
    return done
