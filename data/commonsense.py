"""What Table 1's models are asked: nine benchmarks, each in the fields that lm-eval expects."""

import hashlib
import json
import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from datasets import load_dataset

from data import commonsense_files as files
from data.hub import asking_hub
from data.store import cache_folder, write_atomically

log = logging.getLogger(__name__)

SAMPLES = Path(__file__).parent / "samples" / "commonsense"
Row = Mapping[str, Any]


class Benchmark(NamedTuple):
    """The split that lm-eval scores: on the hub, and as copies of it lie in a folder.

    Attributes:
        repository: on the hub.
        subset: of it; None for the only one.
        revision: the commit.
        split: the part that is scored.
        rows: how many it has.
        fields: what each row has.
        file: where a folder has it.
        read: makes rows of that file.
    """

    repository: str
    subset: str | None
    revision: str
    split: str
    rows: int
    fields: tuple[str, ...]
    file: str
    read: files.Read


ARC = "210d026faf9955653af8916fad021475a3f00453"
ARC_FIELDS = ("question", "choices", "answerKey")
BENCHMARKS = {
    "wikitext": Benchmark(
        "EleutherAI/wikitext_document_level",
        "wikitext-2-raw-v1",
        "647234772b9554e208af6c826f23b99e3cac88c8",
        "test",
        62,
        ("page",),
        "wikitext2_raw/wiki.test.raw",
        files.wikitext,
    ),
    "lambada": Benchmark(
        "EleutherAI/lambada_openai",
        "default",
        "900124bf3b8235c6daf21033af9948b3f07346c4",
        "test",
        5153,
        ("text",),
        "lambada/lambada_test.jsonl",
        files.json_lines,
    ),
    "piqa": Benchmark(
        "baber/piqa",
        None,
        "142f6d7367fd9877f0fb3b5734ea6a545f54cdd1",
        "validation",
        1838,
        ("goal", "sol1", "sol2", "label"),
        "piqa/valid.jsonl",
        files.piqa,
    ),
    "hellaswag": Benchmark(
        "Rowan/hellaswag",
        None,
        "218ec52e09a7e7462a5400043bb9a69a41d06b76",
        "validation",
        10042,
        ("activity_label", "ctx_a", "ctx_b", "endings", "label"),
        "hellaswag/hellaswag_val_full.txt.bz2",
        files.hellaswag,
    ),
    "winogrande": Benchmark(
        "allenai/winogrande",
        "winogrande_xl",
        "01e74176c63542e6b0bcb004dcdea22d94fb67b5",
        "validation",
        1267,
        ("sentence", "option1", "option2", "answer"),
        "lmeval/winogrande.jsonl",
        files.winogrande,
    ),
    "arc_easy": Benchmark(
        "allenai/ai2_arc",
        "ARC-Easy",
        ARC,
        "test",
        2376,
        ARC_FIELDS,
        "lmeval/arc_easy.jsonl",
        files.arc,
    ),
    "arc_challenge": Benchmark(
        "allenai/ai2_arc",
        "ARC-Challenge",
        ARC,
        "test",
        1172,
        ARC_FIELDS,
        "lmeval/arc_challenge.jsonl",
        files.arc,
    ),
    "siqa": Benchmark(
        "lighteval/siqa",
        None,
        "54c6a1f8cb6daf4f5abf24a601852612fb35eb25",
        "validation",
        1954,
        ("context", "question", "answerA", "answerB", "answerC", "label"),
        "siqa/dev.jsonl",
        files.siqa,
    ),
    "boolq": Benchmark(
        "aps/super_glue",
        "boolq",
        "3de24cf8022e94f4ee4b9d55a6f539891524d646",
        "validation",
        3270,
        ("passage", "question", "label"),
        "lmeval/boolq.jsonl",
        files.boolq,
    ),
}


class Questions:
    """The benchmarks as files, found and checked when this is made.

    Args:
        source: `published` for the real ones, from the folder that `TITANS_DATA` names where it has
            them and from the hub otherwise; `sample` for a few of our own writing.
        benchmarks: names in `BENCHMARKS`.

    Attributes:
        files: name -> a file of one JSON object a line, in the fields that lm-eval expects.

    Raises:
        FileNotFoundError: neither the folder nor the hub has one.
        ValueError: a name is unknown, or a file is truncated or otherwise not what was published.
    """

    def __init__(self, source: str, benchmarks: Sequence[str]) -> None:
        unknown = set(benchmarks) - BENCHMARKS.keys()
        if unknown or not benchmarks:
            raise ValueError(
                f"task.benchmarks is {list(benchmarks)}, and should be some of "
                f"{', '.join(BENCHMARKS)}"
            )
        find = _sample if source == "sample" else _published
        self.files: dict[str, Path] = {name: find(name) for name in benchmarks}


def _sample(name: str) -> Path:
    return SAMPLES / f"{name}.jsonl"


def _published(name: str) -> Path:
    """Writes the rows of a benchmark anew into the cache, once they are known to be all."""
    it = BENCHMARKS[name]
    folder = os.environ.get("TITANS_DATA")
    local = Path(folder, it.file) if folder else None
    if local and local.is_file():
        place = str(local)
        content = _checked(it, place, it.read(local))
    else:
        place = f"the hub's {it.repository}"
        content = _checked(it, place, _from_hub(it, folder))
    # Named after what is in it: a run with another source must not change what this one scores.
    key = hashlib.sha256(content).hexdigest()[:12]
    path = cache_folder() / "commonsense" / f"{name}-{key}.jsonl"
    write_atomically(path, content)
    log.info("%s: %d rows of %s", name, it.rows, place)
    return path


def _checked(it: Benchmark, place: str, rows: Iterable[Row]) -> bytes:
    """The rows as lines of JSON.

    Raises:
        ValueError: they are not as many as were published, one lacks a field, or the file is of
            another form.
    """
    kept = []
    for number, row in enumerate(_formed(place, rows), 1):
        absent = [field for field in it.fields if row.get(field) in (None, "") and field != "ctx_b"]
        if absent:
            raise ValueError(f"{place} has no {absent[0]} in row {number}: fetch it again")
        kept.append(json.dumps({field: row[field] for field in it.fields}))
    if len(kept) != it.rows:
        raise ValueError(f"{place} has {len(kept)} rows instead of {it.rows}: fetch it again")
    return "".join(f"{line}\n" for line in kept).encode()


def _formed(place: str, rows: Iterable[Row]) -> Iterator[Row]:
    """The rows; where a file of another form cannot be read, its name and the row are said."""
    number = 0
    try:
        for number, row in enumerate(rows, 1):
            if not isinstance(row, Mapping):
                raise ValueError(f"{place} has no fields in row {number}: fetch it again")
            yield row
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        # A file beside it, as of labels, may be the one that is named.
        if str(Path(place).parent) in str(error):
            raise
        raise ValueError(
            f"{place} is of another form, seen in row {number + 1} ({error!r}): take the copy that "
            "data/README.md describes, or move it away, and the hub is asked"
        ) from error


def _from_hub(it: Benchmark, folder: str | None) -> Iterable[Row]:
    mend = (
        "put it into a folder and set TITANS_DATA=FOLDER, leave it out of task.benchmarks, or try "
        "the code on task.questions=sample"
    )
    with asking_hub(it.file, it.repository, mend, folder=folder):
        rows: Iterable[Row] = load_dataset(
            it.repository, it.subset, split=it.split, revision=it.revision
        )
    return rows
