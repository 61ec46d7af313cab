"""Where files go that can be made again, and whether a file is the one that is meant."""

import hashlib
import os
from pathlib import Path


def cache_folder() -> Path:
    """Return the folder for files that can be made again; `$TITANS_CACHE` moves it."""
    default = Path(__file__).parent / "cache"
    return Path(os.environ.get("TITANS_CACHE") or default)


def digest(path: Path) -> str:
    """Return a file's sha256."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file such that a reader sees all of it or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(content)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
