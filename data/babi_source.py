"""Where the stories of a run come from, and which of them train and which are asked."""

import json
import logging
import os
import random
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from huggingface_hub import hf_hub_download

from data.babi import KINDS, Story, read_stories
from data.babi_simulation import simulate
from data.hub import asking_hub

QUESTIONS = {"train": 10_000, "test": 1_000}
# The benchmark's own choice of 100 test questions of each task.
CHOSEN = "test_100_idxs.json"
# The benchmark's releases, whose 0k has the facts alone.
REPOSITORIES = {
    "train": ("RMT-team/babilong-train-5k-samples", "b3513ef7c25c54ce706054530d47668c532019d6"),
    "test": ("RMT-team/babilong", "ee0d588794c7ac098062ee0d247c733d62e94fe2"),
}
MEND = (
    "put bAbI's tasks_1-20_v1-2/en-10k into a folder and set TITANS_DATA=FOLDER, or take "
    "task.facts=simulated, a stand-in"
)

log = logging.getLogger(__name__)


class Facts(NamedTuple):
    """The stories of a task.

    Attributes:
        name: what scores on them are called: `babi`, `simulated`; `babi-1k` where the training
            part has 1,000 questions and not the benchmark's 10,000.
        train: those to train on; none of them is a story of the test part.
        test: those to ask, the benchmark's own choice first.
    """

    name: str
    train: list[Story]
    test: list[Story]


@cache
def load_facts(source: str, task: str) -> Facts:
    """Return the stories of a task.

    Args:
        source: `babi`, from below `$TITANS_DATA` or from the hub; or `simulated`.
        task: `qa1` to `qa5`.

    Raises:
        FileNotFoundError: bAbI is not to be had.
        ValueError: a file of it is damaged.
    """
    if source == "simulated":
        log.info("facts: simulated, a stand-in for bAbI's (task.facts=babi)")
        parts = {part: simulate(task, part, count) for part, count in QUESTIONS.items()}
        return _parted(source, parts["train"], parts["test"], range(0))
    folder = os.environ.get("TITANS_DATA")
    name = KINDS[task].file
    test = _find(folder, f"en-10k/{name}_test.txt") or _find(folder, f"en/{name}_test.txt")
    if test is None:
        stories = {part: _from_hub(task, part, folder) for part in QUESTIONS}
        return _parted(_sized(stories["train"]), stories["train"], stories["test"], range(0))
    asked = read_stories(test, task, QUESTIONS["test"])
    train = _training(folder, task)
    log.info("facts: %s and its training part, %s questions", test, f"{len(train):,}")
    return _parted(_sized(train), train, asked, _chosen(folder, task))


def _training(folder: str | None, task: str) -> list[Story]:
    name = f"{KINDS[task].file}_train.txt"
    for part, count in (("en-10k", 10_000), ("en", 1_000)):
        if path := _find(folder, f"{part}/{name}"):
            return read_stories(path, task, count)
    raise FileNotFoundError(f"bAbI's {name} is not below TITANS_DATA={folder}: {MEND}")


def _sized(train: list[Story]) -> str:
    """The name of bAbI's facts, by the questions that there are to train on."""
    full = len(train) == QUESTIONS["train"]
    # A release of so many thousand may lack one.
    return "babi" if full else f"babi-{round(len(train) / 1000)}k"


def _parted(name: str, train: list[Story], test: list[Story], chosen: Iterator[int] | Any) -> Facts:
    """Leaves out of training what is asked, and puts what is chosen before the rest."""
    asked = {(story.facts, story.question) for story in test}
    kept = [story for story in train if (story.facts, story.question) not in asked]
    first = list(chosen)
    rest = [number for number in range(len(test)) if number not in set(first)]
    random.Random(0).shuffle(rest)
    return Facts(name, kept, [test[number] for number in [*first, *rest]])


def _find(folder: str | None, name: str) -> Path | None:
    found = sorted(Path(folder).rglob(name)) if folder else []
    return found[0] if found else None


def _chosen(folder: str | None, task: str) -> list[int]:
    path = _find(folder, CHOSEN)
    if path is None:
        return []
    try:
        numbers = [int(number) for number in json.loads(path.read_text(encoding="utf-8"))[task]]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} has no list of numbers for {task} ({error!r}): get it again, or move it away"
        ) from error
    if len(set(numbers)) < len(numbers) or not set(numbers) <= set(range(QUESTIONS["test"])):
        raise ValueError(
            f"{path}: the numbers of {task} are not different ones from 0 to 999: get it again, or "
            "move it away"
        )
    return numbers


def _from_hub(task: str, part: str, folder: str | None) -> list[Story]:
    repository, revision = REPOSITORIES[part]
    file = f"data/{task}/0k.json"
    what, detail = f"the {part} part of bAbI's {task}", f"{file}, {revision}"
    with asking_hub(what, repository, MEND, folder=folder, detail=detail):
        path = hf_hub_download(repository, file, repo_type="dataset", revision=revision)
    return read_release(Path(path), task)


def read_release(path: Path, task: str) -> list[Story]:
    """Read a 0k file of the benchmark: a list of `input`, `question` and `target`.

    Raises:
        ValueError: it has another form, or an answer that the task does not have.
    """
    mend = f"remove it, and it is fetched again; or {MEND}"
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
        stories = [
            Story(_facts(row["input"]), row["question"].strip(), row["target"].strip())
            for row in rows
        ]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path} is no list of input, question and target ({error!r}): {mend}"
        ) from error
    wrong = [number for number, story in enumerate(stories, 1) if not _sound(story, task)]
    if wrong or not stories:
        place = f"{path}, row {wrong[0]}" if wrong else f"{path}, which is empty"
        raise ValueError(f"{place}: no question of {task}: {mend}")
    return stories


def _facts(text: str) -> tuple[str, ...]:
    """Its sentences, with their full stops; where there is nothing before one, nothing."""
    sentences = text.strip().removesuffix(".").split(". ")
    return tuple(f"{fact}." if fact else "" for fact in map(str.strip, sentences))


def _sound(story: Story, task: str) -> bool:
    return all(story.facts) and bool(story.question) and story.answer in KINDS[task].labels
