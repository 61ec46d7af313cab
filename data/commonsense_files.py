"""Copies of the benchmarks as they lie in folders, turned into the fields of the hub's.

Three of them have lost something. HellaSwag's contexts are one text: its last sentence is taken for
the part that lm-eval capitalises where it is left unfinished. BoolQ's passages come without the
titles that SuperGLUE's begin with. ARC's questions have four choices each, where a few published
ones have three or five.
"""

import bz2
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from data.encoding import lines

Row = dict[str, Any]
Read = Callable[[Path], Iterator[Row]]


def json_lines(path: Path) -> Iterator[Row]:
    """One object a line.

    Raises:
        ValueError: a line is none, as the last of a truncated file; it says which.
    """
    for number, line in enumerate(lines(path), 1):
        try:
            yield json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{path} is damaged in line {number} ({error})") from error


def wikitext(path: Path) -> Iterator[Row]:
    """The articles of WikiText's raw text: each begins with a heading of the first level."""
    text = "".join(lines(path))
    starts = [match.start() for match in re.finditer(r"^ = [^=].* = $", text, re.MULTILINE)]
    # What precedes the first heading belongs to the first article.
    for start, stop in zip([0, *starts[1:]], [*starts[1:], len(text)], strict=True):
        yield {"page": text[start:stop]}


def piqa(path: Path) -> Iterator[Row]:
    """The author's lines, and the labels beside them."""
    for row, label in _labelled(path, path.with_name("valid-labels.lst")):
        yield row | {"label": int(label)}


def siqa(path: Path) -> Iterator[Row]:
    """The author's lines, and the labels 1 to 3 beside them."""
    for row, label in _labelled(path, path.with_name("dev-labels.lst")):
        yield row | {"label": label}


def _labelled(path: Path, labels: Path) -> Iterator[tuple[Row, str]]:
    """Rows with their labels.

    Raises:
        FileNotFoundError: there are no labels.
        ValueError: they are not as many as the rows.
    """
    if not labels.is_file():
        raise FileNotFoundError(f"there is no {labels}, which has the answers of {path.name}")
    rows, found = list(json_lines(path)), "".join(lines(labels)).split()
    if len(rows) != len(found):
        raise ValueError(f"{labels} has {len(found)} lines, and {path} {len(rows)}: fetch both")
    yield from zip(rows, found, strict=True)


def hellaswag(path: Path) -> Iterator[Row]:
    """Six lines a question: activity and context, label, four endings.

    Raises:
        ValueError: the file is truncated.
    """
    try:
        text = bz2.decompress(path.read_bytes()).decode().splitlines()
    except (OSError, ValueError, EOFError) as error:
        raise ValueError(f"{path} is damaged ({error}): fetch it again") from error
    for start in range(0, len(text) - 5, 6):
        described, label, *endings = text[start : start + 6]
        activity, _, context = described.partition(": ")
        whole, _, begun = re.fullmatch(r"((.*[.!?]\s+)?)(.*)", context).groups()  # type: ignore[union-attr]
        if begun.endswith((".", "!", "?")):
            whole, begun = context, ""
        yield {
            "activity_label": activity,
            "ctx_a": whole.rstrip(),
            "ctx_b": begun,
            "endings": endings,
            "label": label,
        }


def winogrande(path: Path) -> Iterator[Row]:
    """Sentences with either option in the gap, and what follows it."""
    for row in json_lines(path):
        one, two = (option.split(" ") for option in row["context_options"])
        shared = 0
        while shared < min(len(one), len(two)) - 1 and one[shared] == two[shared]:
            shared += 1
        before = " ".join([*one[:shared], "_"])
        yield {
            "sentence": f"{before} {row['continuation']}",
            "option1": " ".join(one[shared:]),
            "option2": " ".join(two[shared:]),
            "answer": {0: "1", 1: "2"}[row["gold"]],
        }


def arc(path: Path) -> Iterator[Row]:
    """Questions behind the word that lm-eval puts before them, and choices without letters."""
    for row in json_lines(path):
        letters = {i: chr(ord("A") + i) for i in range(len(row["choices"]))}
        yield {
            "question": row["query"].removeprefix("Question: "),
            "choices": {"text": row["choices"], "label": [*letters.values()]},
            "answerKey": letters[row["gold"]],
        }


def boolq(path: Path) -> Iterator[Row]:
    """Passage and question in one text."""
    for row in json_lines(path):
        passage, _, question = row["query"].removeprefix("Passage: ").rpartition("\nQuestion: ")
        yield {
            "passage": passage,
            "question": question.removesuffix("?"),
            "label": row["gold"],
        }
