"""Documents of a data set on the Hugging Face hub, streamed: FineWeb-Edu."""

from collections.abc import Iterable, Iterator
from typing import Any

from datasets import load_dataset

from data.hub import asking_hub


class HubDocuments:
    """A text column of a data set, without downloading all of it.

    Args:
        repository: for instance `HuggingFaceFW/fineweb-edu`.
        subset: for instance `sample-100BT`.
        revision: a commit of the repository.
        column: where the text is.
    """

    def __init__(self, repository: str, *, subset: str, revision: str, column: str) -> None:
        self.repository, self.subset, self.revision = repository, subset, revision
        self.column = column
        self.name = f"{repository.rpartition('/')[2]}-{subset}"

    @property
    def description(self) -> dict[str, Any]:
        """What the corpus is."""
        return {
            "source": self.repository,
            "subset": self.subset,
            "revision": self.revision,
            "column": self.column,
        }

    def documents(self, skip: int = 0) -> Iterator[str]:
        """Yield the documents from the one with this number on.

        Raises:
            FileNotFoundError: the hub does not have it, or cannot be reached.
            ConnectionError: the connection breaks in the middle.
            ValueError: there is no such column.
        """
        what, detail = f"task.corpus={self.repository}", f"{self.subset}, {self.revision}"
        mend = "set it to text files that exist, or to english for what packages ship"
        with asking_hub(what, self.repository, mend, detail=detail):
            rows = load_dataset(
                self.repository,
                self.subset,
                split="train",
                revision=self.revision,
                streaming=True,
            )
            names = rows.column_names
        if names and self.column not in names:
            raise ValueError(f"{self.repository} has no column {self.column!r} among {names}")
        rows = rows if names is None else rows.select_columns(self.column)
        for row in self._whole(rows.skip(skip) if skip else rows):
            yield row[self.column]

    def _whole(self, rows: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """The rows, of which none is left out where the connection breaks."""
        rows = iter(rows)
        while True:
            try:
                row = next(rows)
            except StopIteration:
                return
            except Exception as error:
                reason = str(error).partition("\n")[0]
                raise ConnectionError(
                    f"{self.repository} broke off in the middle ({reason}): the shards that are "
                    "whole are kept, and the same command goes on behind them"
                ) from error
            yield row
