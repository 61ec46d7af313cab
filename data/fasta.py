"""Makes a FASTA file readable at any place: plain, checked once, with an index in the cache."""

import gzip
import hashlib
import logging
import os
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path

from pyfaidx import Faidx, FastaIndexingError

from data.encoding import without_mark
from data.nucleotides import LETTERS
from data.store import cache_folder, no_room, settle

MAGIC = b"\x1f\x8b"
# bgzip's files are gzips one behind the other, which may be cut off between two; this is the last.
BLOCK, LAST_BLOCK = (
    b"BC\x02\x00",
    bytes.fromhex("1f8b08040000000000ff0600424302001b0003") + bytes(9),
)
log = logging.getLogger(__name__)


def plain(path: Path) -> Path:
    """Return the file itself, or where it was decompressed to if it is a gzip (or bgzip).

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the gzip is truncated or damaged, or the file is compressed in another way.
        OSError: the cache has no room for it.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no FASTA file at {path}: name another")
    with path.open("rb") as file:
        compressed = file.read(2) == MAGIC
    if compressed:
        target = _cached(path, ".fa")
        return target if target.is_file() else _made(target, lambda new: _decompress(path, new))
    if path.suffix.lower() in (".gz", ".bgz", ".bz2", ".zip", ".xz", ".zst"):
        raise ValueError(f"{path} is no gzip: decompress it, or compress it with gzip")
    return path


def index(path: Path, name: Path) -> Path:
    """Return the index of a plain FASTA file, made anew where the file has changed since.

    It lies in the cache, never beside a file that may be read-only or someone else's. One that was
    cut is made again.

    Args:
        path: the plain file.
        name: what it is called in a refusal, the file it was decompressed from.

    Raises:
        ValueError: the file is no FASTA of nucleotides; its name and the line are told.
        OSError: the cache has no room for it.
    """
    target = _cached(path, ".fai")
    if target.is_file() and _reaches_end(target, path):
        return target
    _check(path, name)

    def make(new: Path) -> None:
        try:
            Faidx(path, indexname=new).close()
        except (FastaIndexingError, ValueError) as error:
            raise ValueError(f"{name}: {error}") from error
        except OSError as error:
            # The library raises one of its own, without a number, behind the disk's.
            raise error.__context__ if isinstance(error.__context__, OSError) else error from None

    return _made(target, make)


def _reaches_end(target: Path, path: Path) -> bool:
    """Whether nothing but white space stands in the file behind the last contig of its index."""
    try:
        *_, last = target.read_text(encoding="utf-8").split("\n")[:-1] or [""]
        length, offset, letters, width = map(int, last.split("\t")[1:])
        # Lines before the last, whose own end may be missing.
        lines = (length - 1) // letters if length else 0
    except (ValueError, ZeroDivisionError):
        return False
    end = offset + length + lines * (width - letters)
    with path.open("rb") as file:
        file.seek(end)
        return end <= path.stat().st_size and not file.read(2**16).strip()


def _check(path: Path, name: Path) -> None:
    """Refuses at their line: what is no nucleotide, and names that are missing or not unique."""
    contigs: set[str] = set()
    size = path.stat().st_size
    if size > 2**28:
        log.info("checking and indexing %s, once (%.1f GB)", name, size / 2**30)
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if number == 1 and without_mark(name, line) != line:
                raise ValueError(f"{name}, line 1: a byte-order mark before >NAME: take it away")
            if line.startswith(b">"):
                try:
                    contig = (line[1:].decode().split() or [""])[0]
                except UnicodeDecodeError as error:
                    raise ValueError(f"{name}, line {number}: a name in no UTF-8") from error
                if not contig or contig in contigs:
                    reason = f"a second sequence named {contig}" if contig else "no name behind >"
                    raise ValueError(f"{name}, line {number}: {reason}")
                contigs.add(contig)
            elif contigs:
                if wrong := line.rstrip(b"\r\n").translate(None, LETTERS):
                    letter = wrong[:1].decode("latin-1")
                    raise ValueError(f"{name}, line {number}: {letter!r} is no nucleotide")
            elif line.strip() and not line.startswith(b";"):
                raise ValueError(f"{name}, line {number}: no FASTA, which begins with >NAME")
    if not contigs:
        raise ValueError(f"{name} holds no sequence: a FASTA file has lines >NAME before each")


def _decompress(path: Path, new: Path) -> None:
    log.info("decompressing %s into %s, once", path, new.parent)
    with path.open("rb") as packed:
        blocks = packed.read(16)[12:] == BLOCK
        packed.seek(-min(len(LAST_BLOCK), path.stat().st_size), os.SEEK_END)
        if blocks and packed.read() != LAST_BLOCK:
            raise ValueError(
                f"{path} is a truncated or damaged bgzip (no last block): get it again"
            )
    try:
        with gzip.open(path) as packed, new.open("wb") as file:
            shutil.copyfileobj(packed, file, 2**20)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(
            f"{path} is a truncated or damaged gzip ({error}): get it again"
        ) from error


def _cached(path: Path, suffix: str) -> Path:
    """A place that another file has, and so has this one once it was changed."""
    facts = path.stat()
    key = f"{path.resolve()}/{facts.st_size}/{facts.st_mtime_ns}"
    digest = hashlib.sha256(key.encode()).hexdigest()[:16]
    return cache_folder() / "genomes" / f"{path.name.split('.')[0]}-{digest}{suffix}"


def _made(target: Path, make: Callable[[Path], None]) -> Path:
    """Has a file made such that it is whole or not there; a full disk is said."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{os.getpid()}.{target.name}")
    try:
        make(temporary)
        settle(temporary)
        temporary.replace(target)
    except OSError as error:
        raise no_room(error, target) from error
    finally:
        temporary.unlink(missing_ok=True)
    return target
