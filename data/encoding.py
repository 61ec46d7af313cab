"""Files of text, which are UTF-8, and what is said of one that is not."""

import codecs
from collections.abc import Iterator
from pathlib import Path

# The longer first: the mark of UTF-32 begins with that of UTF-16.
MARKS = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}


def lines(path: Path) -> Iterator[str]:
    """Yield the lines of a UTF-8 file, without a byte-order mark.

    Raises:
        ValueError: it is of another encoding; the message names the line.
    """
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            yield _decoded(path, number, without_mark(path, line) if number == 1 else line)


def without_mark(path: Path, first: bytes) -> bytes:
    """Return the first line of a file without the byte-order mark of UTF-8.

    Raises:
        ValueError: it has the mark of another encoding.
    """
    for mark, encoding in MARKS.items():
        if first.startswith(mark):
            raise ValueError(f"{path}, line 1: {encoding}, by its byte-order mark: make it UTF-8")
    return first.removeprefix(codecs.BOM_UTF8)


def _decoded(path: Path, number: int, line: bytes) -> str:
    if b"\0" in line:
        raise ValueError(f"{path}, line {number}: a NUL, as UTF-16 has them: make it UTF-8")
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        byte = line[error.start]
        raise ValueError(
            f"{path}, line {number}: not UTF-8 (byte 0x{byte:02x}): convert the file"
        ) from error
