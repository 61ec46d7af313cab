"""bAbI's stories: facts in order, a question about them, and a word that answers it."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

PLACES = ("bathroom", "bedroom", "garden", "hallway", "kitchen", "office")
OBJECTS = ("apple", "football", "milk")
GIVERS = ("Bill", "Fred", "Jeff", "Mary")


class Kind(NamedTuple):
    """One of bAbI's tasks: its file, and all answers that it has."""

    file: str
    labels: tuple[str, ...]


KINDS = {
    "qa1": Kind("qa1_single-supporting-fact", PLACES),
    "qa2": Kind("qa2_two-supporting-facts", PLACES),
    "qa3": Kind("qa3_three-supporting-facts", PLACES),
    "qa4": Kind("qa4_two-arg-relations", PLACES),
    "qa5": Kind("qa5_three-arg-relations", GIVERS + OBJECTS),
}


class Story(NamedTuple):
    """A question, and all facts that were told before it."""

    facts: tuple[str, ...]
    question: str
    answer: str


def read_stories(path: Path, task: str, questions: int) -> list[Story]:
    """Read a file of bAbI: each question with the facts of its story up to there.

    Args:
        path: lines of `ID fact` and `ID question<tab>answer<tab>IDs of the facts it rests on`.
        task: `qa1` to `qa5`.
        questions: how many the file has.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged or of another task; the message names file and line.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no {path}: bAbI's archive tasks_1-20_v1-2 has it")
    stories = list(_stories(path, KINDS[task].labels))
    if len(stories) != questions:
        with path.open("rb") as file:
            lines = sum(1 for _ in file)
        raise ValueError(
            f"{path} ends at line {lines} with {len(stories):,} questions, and bAbI's has "
            f"{questions:,}: it is truncated, or another file; copy it again"
        )
    return stories


def _stories(path: Path, labels: tuple[str, ...]) -> Iterator[Story]:
    facts: dict[int, str] = {}
    last = 0
    with path.open(encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, start=1):
            place = f"{path}, line {number}"
            if not line.endswith("\n"):
                raise ValueError(f"{place}: the line is cut off: copy the file again")
            identity, _, text = line.rstrip("\n").partition(" ")
            if not identity.isdigit() or not text.strip() or int(identity) not in (1, last + 1):
                raise ValueError(
                    f"{place}: {line[:60].rstrip()!r} is not line 1 or {last + 1} of a story"
                )
            last = int(identity)
            facts = {} if last == 1 else facts
            if "\t" in text:
                yield _question(text, facts, labels, place)
            else:
                facts[last] = text.strip()


def _question(text: str, facts: dict[int, str], labels: tuple[str, ...], place: str) -> Story:
    question, answer, *rest = text.split("\t")
    rests_on = rest[0].split() if len(rest) == 1 else []
    if not rests_on or not all(n.isdigit() and int(n) in facts for n in rests_on):
        raise ValueError(f"{place}: the question does not name the facts that it rests on")
    if answer not in labels:
        raise ValueError(f"{place}: {answer!r} is none of the answers {', '.join(labels)}")
    return Story(tuple(facts.values()), question.strip(), answer)
