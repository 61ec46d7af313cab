"""The King James Bible as Debian packs it: windows of LZW, a verse a line."""

import io
import re
import struct
import tarfile
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from data.packages import Package

PACKAGE = Package(
    "apt-get",
    "bible-kjv-text=4.38",
    "d61b6aad4c51ba9e2800b825325fa6a09e99a0d02a9bb6dc4724fcc4995a1b7a",
)
MEMBER = "./usr/lib/bible.data"
# Where the file's header says how many windows there are; their places follow.
COUNT = 0x58
# What compress(1) writes before its codes, and its codes: the widest, and the one that forgets.
MAGIC, WIDEST, FORGET = b"\x1f\x9d\x90", 16, 256


def documents() -> Iterator[str]:
    """Yield the chapters in their order."""
    return chapters(expand(unpack(PACKAGE.fetch())))


def unpack(package: Path) -> bytes:
    """Return the data file of the Debian package, an `ar` archive of compressed archives."""
    content, position = package.read_bytes(), 8
    while position < len(content):
        name, size = content[position : position + 16], content[position + 48 : position + 58]
        start, end = position + 60, position + 60 + int(size)
        if name.startswith(b"data.tar"):
            with tarfile.open(fileobj=io.BytesIO(content[start:end])) as files:
                file = files.extractfile(MEMBER)
                assert file is not None
                return file.read()
        position = end + end % 2
    raise ValueError(f"{package} holds no data.tar")


def expand(data: bytes) -> str:
    """Return the text of all windows."""
    (count,) = struct.unpack_from(">I", data, COUNT)
    starts = struct.unpack_from(f">{count}I", data, COUNT + 4)
    ends = [*(start - len(MAGIC) for start in starts[1:]), len(data)]
    windows = (data[start:end] for start, end in zip(starts, ends, strict=True))
    return b"".join(map(decompress, windows)).decode("ascii")


def decompress(codes: bytes) -> bytes:
    """Undo compress(1): codes of 9 to 16 bits, padded to eight of a kind as the width changes."""
    table = [bytes([value]) for value in range(256)] + [b""]
    width, position, began, before = 9, 0, 0, b""
    pieces = []
    while position + width <= 8 * len(codes):
        three = int.from_bytes(codes[position >> 3 : (position >> 3) + 3], "little")
        code = three >> (position & 7) & (1 << width) - 1
        position += width
        if code == FORGET:
            del table[257:]
            position = began = _padded(position, began, width)
            width, before = 9, b""
            continue
        piece = table[code] if code < len(table) else before + before[:1]
        if before and len(table) < 1 << WIDEST:
            table.append(before + piece[:1])
        pieces.append(piece)
        before = piece
        if len(table) == 1 << width and width < WIDEST:
            position = began = _padded(position, began, width)
            width += 1
    return b"".join(pieces)


def _padded(position: int, began: int, width: int) -> int:
    eight = 8 * width
    return began + -(-(position - began) // eight) * eight


def chapters(text: str) -> Iterator[str]:
    """Yield the verses of each chapter, a line each, without their numbers."""
    verses = (re.fullmatch(r"(\w+):\d+ (.*)", line) for line in text.splitlines())
    found = (verse.groups() for verse in verses if verse)
    for _, group in groupby(found, key=lambda verse: verse[0]):
        yield "\n".join(line for _, line in group)
