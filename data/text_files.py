"""Documents of a local corpus: text, jsonl and parquet files, read piece by piece."""

import json
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from data.encoding import lines

SUFFIXES = (".txt", ".jsonl", ".parquet")
# A file of plain text is one long document; held-out documents need more of them.
PLAIN_DOCUMENT = 20_000


class TextFiles:
    """The files below a path, in the order of their names.

    A line of a `.jsonl` and a row of a `.parquet` file is a document. A `.txt` file is cut at
    blank lines into documents of about 20,000 characters.

    Args:
        path: a file, or a folder with files below it.
        column: where `.jsonl` and `.parquet` have the text.

    Raises:
        FileNotFoundError: there is nothing to read.
    """

    def __init__(self, path: Path, column: str = "text") -> None:
        files = sorted(p for p in path.rglob("*") if p.suffix in SUFFIXES) if path.is_dir() else []
        self.path, self.column, self.files = path, column, files or [path]
        if not path.exists() or self.files[0].suffix not in SUFFIXES:
            raise FileNotFoundError(
                f"there is no {', '.join(SUFFIXES)} file at {path}: set task.corpus to one, or to "
                "a folder that has some"
            )
        self.name = path.stem

    @property
    def description(self) -> dict[str, Any]:
        """What the corpus is: a file that changes is another corpus."""
        files = {
            str(file.relative_to(self.path.parent)): [s.st_size, s.st_mtime_ns]
            for file in self.files
            for s in [file.stat()]
        }
        return {"source": "files", "path": str(self.path), "column": self.column, "files": files}

    def documents(self, skip: int = 0) -> Iterator[str]:
        """Yield the documents from the one with this number on.

        Raises:
            ValueError: a file is damaged or of another form; the message names file and line.
        """
        readers = {".txt": _plain, ".jsonl": self._jsonl, ".parquet": self._parquet}
        every = (text for file in self.files for text in _some(file, readers[file.suffix](file)))
        return islice(every, skip, None)

    def _jsonl(self, file: Path) -> Iterator[str]:
        for number, line in enumerate(lines(file), 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (json.JSONDecodeError, RecursionError) as error:
                raise ValueError(f"{file}, line {number}: no JSON ({error})") from error
            yield self._text(row, f"{file}, line {number}")

    def _text(self, row: Any, place: str) -> str:
        if not isinstance(row, dict):
            raise ValueError(f'{place}: not of the form {{"{self.column}": ...}}')
        if self.column not in row:
            raise ValueError(
                f"{place}: no {self.column!r} among {', '.join(map(repr, row)) or 'no keys'}: set "
                "task.column to the one that has the text"
            )
        text = row[self.column]
        if not isinstance(text, str):
            raise ValueError(f"{place}: {self.column!r} is {type(text).__name__}, not text")
        return text

    def _parquet(self, file: Path) -> Iterator[str]:
        try:
            table = pq.ParquetFile(file)
            if self.column not in table.schema_arrow.names:
                names = ", ".join(map(repr, table.schema_arrow.names))
                raise ValueError(
                    f"{file}: no column {self.column!r} among {names}: set task.column"
                )
            row = 0
            for batch in table.iter_batches(batch_size=256, columns=[self.column]):
                for text in batch.column(0).to_pylist():
                    row += 1
                    yield self._text({self.column: text}, f"{file}, row {row}")
        except (pa.ArrowInvalid, OSError) as error:
            raise ValueError(f"{file}: no parquet file, or damaged ({error})") from error


def _some(file: Path, texts: Iterable[str]) -> Iterator[str]:
    """The texts that are not blank.

    Raises:
        ValueError: there is none.
    """
    count = 0
    for text in texts:
        if text.strip():
            count += 1
            yield text
    if not count:
        raise ValueError(f"{file}: no text in it; remove it, or name another with task.corpus")


def _plain(file: Path) -> Iterator[str]:
    """Documents of whole paragraphs; of lines, where no line is blank for long."""
    kept: list[str] = []
    size = 0
    for line in lines(file):
        kept.append(line)
        size += len(line)
        blank = not line.strip()
        if size >= PLAIN_DOCUMENT and (blank or size >= 2 * PLAIN_DOCUMENT):
            yield "".join(kept)
            kept, size = [], 0
    yield "".join(kept)
