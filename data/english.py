"""Real English that packages ship, about 12 MB: what a run is trained on where nothing is named."""

import logging
from collections.abc import Iterator
from functools import cache
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any

from data import bible, brown, wikipedia
from data.packages import AbsentError
from data.store import digest
from data.text_files import TextFiles

SOURCES = {"brown": brown, "bible": bible, "wikipedia": wikipedia}
SAMPLE = Path(__file__).parent / "samples" / "text" / "verses.jsonl"

log = logging.getLogger(__name__)


@cache
def available() -> dict[str, ModuleType]:
    """Return the sources whose package is there, and say which are not."""
    found = {}
    for name, source in SOURCES.items():
        try:
            source.PACKAGE.fetch()
            found[name] = source
        except AbsentError as error:
            log.warning("the corpus has no %s: %s", name, error)
    if not found:
        log.warning("the corpus is a sample of 60 KB, from which little can be learned")
    return found


class English:
    """The Brown corpus, the King James Bible and Wikipedia articles: those that can be fetched.

    Where none can, the chapters of the Bible that are part of this repository.
    """

    @property
    def sources(self) -> dict[str, ModuleType]:
        """The sources whose package is there."""
        return available()

    @property
    def name(self) -> str:
        """The sources that are in it."""
        return "+".join(self.sources) or "sample"

    @property
    def description(self) -> dict[str, Any]:
        """What the corpus is: its packages, and the code that makes text of them."""
        packages: dict[str, Any] = {
            name: {
                "package": source.PACKAGE.name,
                "sha256": source.PACKAGE.sha256,
                "cleaner": digest(Path(str(source.__file__))),
            }
            for name, source in self.sources.items()
        }
        return {"source": "packages", "packages": packages or {"sample": digest(SAMPLE)}}

    def documents(self, skip: int = 0) -> Iterator[str]:
        """Yield the documents from the one with this number on."""
        if not self.sources:
            return TextFiles(SAMPLE).documents(skip)
        every = (text for source in self.sources.values() for text in source.documents())
        return islice(every, skip, None)
