"""What a folder of tokenised shards says of itself, and whether that is still true."""

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from data.store import digest, write_atomically

FILE = "manifest.json"
PARTS = ("train", "validation")


@dataclass(frozen=True)
class Shard:
    """One file of tokens, each two bytes, low byte first; every document ends with its token.

    Attributes:
        file: its name.
        part: `train` or `validation`.
        documents: how many.
        tokens: their tokens, ends included.
        words: their words, as white space parts them.
        bytes: of their text in UTF-8.
        sha256: of the file.
    """

    file: str
    part: str
    documents: int
    tokens: int
    words: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """All that is known of the shards of one folder.

    Attributes:
        corpus: where the text came from, with its revision.
        name: what scores on it are called.
        tokenizer: its name, size and sha256.
        end: the token behind every document.
        settings: how documents were parted and gathered.
        groups: the shards made of one stretch of documents: one of each part that has any.
        read: the documents that were read up to the end of each group.
        complete: whether all of the corpus was read.
    """

    corpus: dict[str, Any]
    name: str
    tokenizer: dict[str, Any]
    end: int
    settings: dict[str, Any]
    groups: list[list[Shard]] = field(default_factory=list)
    read: list[int] = field(default_factory=list)
    complete: bool = False

    def shards(self, part: str) -> list[Shard]:
        """The shards of a part, in the order of their documents."""
        return [shard for group in self.groups for shard in group if shard.part == part]

    def tokens(self, part: str) -> int:
        """How many tokens a part has."""
        return sum(shard.tokens for shard in self.shards(part))

    @property
    def sha256(self) -> str:
        """Of all training tokens, by the hashes of their files."""
        hashes = "".join(shard.sha256 for shard in self.shards("train"))
        return hashlib.sha256(hashes.encode()).hexdigest()

    def with_group(self, shards: list[Shard], read: int) -> "Manifest":
        """The manifest with one more stretch of documents."""
        return replace(self, groups=[*self.groups, shards], read=[*self.read, read])

    def write(self, folder: Path) -> None:
        """Write it such that a reader sees all of it or the one before."""
        write_atomically(folder / FILE, (json.dumps(asdict(self), indent=1) + "\n").encode())

    @classmethod
    def load(cls, folder: Path) -> "Manifest":
        """Read it.

        Raises:
            ValueError: it is damaged.
        """
        path = folder / FILE
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            groups = [[Shard(**shard) for shard in group] for group in content.pop("groups")]
            return cls(groups=groups, **content)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"{path} is damaged ({error}): {remedy(folder)}") from error


def verify(folder: Path, shard: Shard) -> None:
    """Compare a shard with what the manifest says.

    Raises:
        ValueError: it is missing, truncated or altered.
    """
    path = folder / shard.file
    size = path.stat().st_size if path.is_file() else None
    if size is None:
        fault = "is missing"
    elif size != 2 * shard.tokens:
        fault = f"has {size} bytes instead of {2 * shard.tokens}"
    elif _digest(path, path.stat().st_mtime_ns) != shard.sha256:
        fault = "was altered: its sha256 is not the manifest's"
    else:
        return
    raise ValueError(f"the shard {path} {fault}: {remedy(folder)}")


@cache
def _digest(path: Path, changed: int) -> str:
    """A file's sha256, computed once in a process while the file does not change."""
    return digest(path)


def remedy(folder: Path) -> str:
    """What to do about a damaged folder."""
    return f"remove the folder {folder}, and its text is tokenised again"
