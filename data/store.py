"""Where files go that can be made again, and whether a file is the one that is meant."""

import errno
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
    """Write a file such that a reader sees all of it or nothing.

    Raises:
        OSError: there is no room for it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(content)
        settle(temporary)
        os.replace(temporary, path)
    except OSError as error:
        raise no_room(error, path) from error
    finally:
        temporary.unlink(missing_ok=True)


def settle(path: Path) -> None:
    """Wait until a file is on the disk: a power cut must not leave its name without its content."""
    with path.open("r+b") as file:
        os.fsync(file.fileno())


def no_room(error: OSError, path: Path) -> OSError:
    """Return the error, or where the disk is full one that says what to do."""
    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return error
    mend = "make room, or set TITANS_CACHE=FOLDER"
    return OSError(error.errno, f"no room in {path.parent} for {path.name}: {mend}")
