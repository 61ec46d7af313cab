"""Finds the sequences of a set, and reads them as the benchmark or as a CSV has them."""

import csv
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from data.encoding import lines
from data.hub import asking_hub
from data.sequences import SOURCES, repository


class Row(NamedTuple):
    """One sequence.

    Attributes:
        sequence: its letters.
        label: the name or the number of its class.
        place: where it stands: file and line.
    """

    sequence: str
    label: str
    place: str


class Part(NamedTuple):
    """The sequences of a part.

    Attributes:
        place: the file, folder or repository that has them.
        rows: they, one by one.
    """

    place: str
    rows: Iterable[Row]


def find(dataset: str, part: str) -> Part:
    """Return the sequences of a part, from below `$TITANS_DATA` or from the hub.

    Raises:
        FileNotFoundError: neither of them has it.
        ValueError: a CSV has no columns for sequence and label, or a file is not UTF-8.
    """
    folder = os.environ.get("TITANS_DATA")
    if folder:
        for path in sorted(Path(folder).rglob(f"{dataset}/{part}")):
            if classes := sorted(child for child in path.iterdir() if child.is_dir()):
                return Part(str(path), _from_folders(classes))
        names = f"{part}_{dataset}.csv", f"{dataset}_{part}.csv", f"{dataset}/{part}.csv"
        for name in names:
            if found := sorted(Path(folder).rglob(name)):
                return Part(str(found[0]), _from_csv(found[0]))
    return _from_hub(dataset, part, folder)


def _from_folders(classes: list[Path]) -> Iterator[Row]:
    """A folder a class, a file a sequence."""
    for folder in classes:
        for path in sorted(folder.glob("*.txt")):
            yield Row("".join(lines(path)).strip(), folder.name, f"{path}, line 1")


def _from_csv(path: Path) -> Iterator[Row]:
    """A line a sequence, under a header."""
    table = csv.DictReader(lines(path))
    header = table.fieldnames or ()
    sequence = next((name for name in ("seq", "sequence") if name in header), None)
    if sequence is None or "label" not in header:
        raise ValueError(
            f"{path}, line 1: the columns are {', '.join(header) or 'none'}, and should be "
            "seq,label"
        )
    try:
        for line in table:
            place = f"{path}, line {table.line_num}"
            yield Row(line[sequence] or "", line["label"] or "", place)
    except csv.Error as error:
        raise ValueError(
            f"{path}, line {table.reader.line_num}: {error}; is a quote open?"
        ) from error


def _from_hub(dataset: str, part: str, folder: str | None) -> Part:
    # Takes a second to import, which only a download is worth.
    from datasets import load_dataset

    name, revision = repository(dataset), SOURCES[dataset].revision
    what = f"the {part} part of {dataset}"
    with asking_hub(what, name, _mend(dataset, part), folder=folder):
        table = load_dataset(name, split=part, revision=revision)
    place = f"{name}, {part}"
    return Part(place, _from_table(table, place))


def _from_table(table: Iterable[dict[str, Any]], name: str) -> Iterator[Row]:
    for number, line in enumerate(table, start=1):
        yield Row(line["seq"], str(line["label"]), f"{name}, row {number}")


def _mend(dataset: str, part: str) -> str:
    alone = "; with the test part alone, task.folds=5 task.fold=0 cross-validates on it"
    return (
        f"put the benchmark's folder {dataset}/{part} or a file {part}_{dataset}.csv (seq,label) "
        f"into a folder and set TITANS_DATA=FOLDER{alone if part == 'train' else ''}; or try the "
        "code on task.dataset=fly_promoters or task.dataset=sample"
    )
