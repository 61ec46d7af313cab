"""bAbI's files, and stories of our own that are told in the same words."""

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from data import babi_source
from data.babi import GIVERS, KINDS, OBJECTS, PLACES, Story, read_stories
from data.babi_simulation import (
    DROPS,
    GIVES,
    MOVES,
    TAKES,
    WALKERS,
    Event,
    Told,
    before,
    carried,
    given,
    simulate,
    where,
)
from data.babi_source import CHOSEN, load_facts, read_release

FILE = """1 Mary moved to the bathroom.
2 John went to the hallway.
3 Where is Mary? \tbathroom\t1
4 Daniel went back to the hallway.
5 Where is Daniel? \thallway\t4
1 Sandra went to the office.
2 John went to the garden.
3 Where is John? \tgarden\t2
"""
ANSWERS = {"qa1": where, "qa2": carried, "qa3": before, "qa5": given}
DATA = os.environ.get("TITANS_DATA")
needs_babi = pytest.mark.skipif(
    not DATA or not list(Path(DATA).rglob("en-10k/qa1_*_test.txt")), reason="no bAbI"
)


def event(fact: str) -> Event:
    """What a fact says."""
    who, _, rest = fact.removesuffix(".").partition(" ")
    if found := re.fullmatch(rf"(?:{'|'.join(MOVES)}) the (\w+)", rest):
        return Event("move", who, to=found[1])
    if found := re.fullmatch(rf"(?:{'|'.join(GIVES)}) the (\w+) to (\w+)", rest):
        return Event("give", who, found[1], found[2])
    verb = "take" if re.match("|".join(TAKES), rest) else "drop"
    found = re.fullmatch(rf"(?:{'|'.join(TAKES + DROPS)}) the (\w+)(?: there)?", rest)
    assert found, fact
    return Event(verb, who, found[1])


def form(sentence: str) -> str:
    """A sentence without its names."""
    for name, words in (("P", {*WALKERS, *GIVERS}), ("O", OBJECTS), ("L", PLACES)):
        sentence = re.sub(rf"\b({'|'.join(words)})\b", name, sentence)
    return sentence


def test_a_question_comes_with_the_facts_before_it(tmp_path: Path) -> None:
    (tmp_path / "qa1.txt").write_text(FILE)
    first, second, third = read_stories(tmp_path / "qa1.txt", "qa1", 3)
    assert first == Story(
        ("Mary moved to the bathroom.", "John went to the hallway."), "Where is Mary?", "bathroom"
    )
    assert second.facts == (*first.facts, "Daniel went back to the hallway.")
    assert third.facts == ("Sandra went to the office.", "John went to the garden.")


@pytest.mark.fault(
    "a data file that is empty, truncated or of another encoding", "refused by name and line"
)
@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda text: text[: text.rindex("1 Sandra")], "ends at line 5 with 2 questions"),
        (lambda text: text[:-3], "line 8: the line is cut off"),
        (lambda text: text.replace("4 Daniel", "7 Daniel"), "line 4: '7 Daniel"),
        (lambda text: text.replace("bathroom\t1", "bathroom"), "line 3: the question does not"),
        (lambda text: text.replace("hallway\t4", "hallway\t9"), "line 5: the question does not"),
        (lambda text: text.replace("\tgarden\t", "\tmoon\t"), "line 8: 'moon' is none of"),
        (lambda text: text.replace("2 John", "John"), "line 2: 'John went"),
        (lambda text: "", "ends at line 0 with 0 questions"),
    ],
)
def test_a_damaged_file_is_refused_by_line(tmp_path: Path, damage: object, said: str) -> None:
    path = tmp_path / "qa1.txt"
    path.write_text(damage(FILE))  # type: ignore[operator]
    with pytest.raises(ValueError, match=re.escape(f"{path}").join(["", ".*"]) + re.escape(said)):
        read_stories(path, "qa1", 3)


@pytest.mark.fault("a missing data file", "refused, with what to set")
def test_no_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"qa1\.txt"):
        read_stories(tmp_path / "qa1.txt", "qa1", 3)


@pytest.mark.parametrize("task", KINDS)
def test_no_story_is_trained_on_and_asked(task: str) -> None:
    facts = load_facts("simulated", task)
    trained = {(story.facts, story.question) for story in facts.train}
    assert not trained & {(story.facts, story.question) for story in facts.test}
    assert len(facts.test) == 1000
    assert len(facts.train) > 9000
    assert {story.answer for story in facts.test} == set(KINDS[task].labels)


@pytest.mark.parametrize("task", ANSWERS)
def test_simulated_facts_decide_the_answers(task: str) -> None:
    for story in simulate(task, "test", 300):
        known = ANSWERS[task](Told(map(event, story.facts)))
        assert known[story.question] == story.answer


def test_a_row_of_rooms_decides_the_answer() -> None:
    steps = {"north": (0, 1), "south": (0, -1), "east": (1, 0), "west": (-1, 0)}
    for story in simulate("qa4", "test", 300):
        relations = set()
        for fact in story.facts:
            one, word, other = re.findall(r"The (\w+) is (\w+) of the (\w+)\.", fact)[0]
            east, north = steps[word]
            relations |= {(one, (east, north), other), (other, (-east, -north), one)}
        if found := re.fullmatch(r"What is (\w+) of the (\w+)\?", story.question):
            right = {
                one for one, way, other in relations if (way, other) == (steps[found[1]], found[2])
            }
        else:
            named, word = re.findall(r"What is the (\w+) (\w+) of\?", story.question)[0]
            right = {other for one, step, other in relations if (one, step) == (named, steps[word])}
        assert right == {story.answer}


@needs_babi
@pytest.mark.parametrize("task", KINDS)
def test_simulated_stories_have_the_words_of_babi(task: str) -> None:
    real, own = load_facts("babi", task).test, simulate(task, "test", 1000)
    assert {form(fact) for s in own for fact in s.facts} == {form(f) for s in real for f in s.facts}
    assert {form(story.question) for story in own} == {form(story.question) for story in real}

    def vocabulary(stories: list[Story]) -> set[str]:
        texts = (text for s in stories for text in (*s.facts, s.question, s.answer))
        return {word for text in texts for word in re.findall(r"\w+", text)}

    assert vocabulary(own) == vocabulary(real)


@needs_babi
@pytest.mark.parametrize("task", ANSWERS)
def test_our_world_answers_the_questions_of_babi(task: str) -> None:
    wrong = [
        story
        for story in load_facts("babi", task).test
        if ANSWERS[task](Told(map(event, story.facts))).get(story.question) != story.answer
    ]
    # Twice qa5 asks for a gift of which there are two, and means the earlier one.
    assert len(wrong) == (2 if task == "qa5" else 0)


@needs_babi
def test_the_questions_that_the_benchmark_chose_come_first() -> None:
    (path,) = Path(str(DATA)).rglob(CHOSEN)
    (file,) = Path(str(DATA)).rglob("en-10k/qa1_*_test.txt")
    every = read_stories(file, "qa1", 1000)
    chosen = [every[number] for number in json.loads(path.read_text())["qa1"]]
    assert load_facts("babi", "qa1").test[:100] == chosen


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """No folder, and no hub."""

    def fail(*_: object, **__: object) -> str:
        raise OSError("offline")

    load_facts.cache_clear()
    monkeypatch.delenv("TITANS_DATA", raising=False)
    monkeypatch.setattr(babi_source, "hf_hub_download", fail)


@pytest.mark.fault("an unreachable hub", "refused, with what to set")
@pytest.mark.usefixtures("nowhere")
def test_without_folder_and_hub_babi_is_refused_with_a_mend() -> None:
    with pytest.raises(
        FileNotFoundError, match=r"RMT-team/babilong.*offline.*task\.facts=simulated"
    ):
        load_facts("babi", "qa1")


def test_the_release_on_the_hub_is_read_as_stories(tmp_path: Path) -> None:
    path = tmp_path / "0k.json"
    row = {
        "input": "Mary moved to the bathroom. John went to the hallway.",
        "question": "Where is Mary? ",
        "target": "bathroom",
    }
    path.write_text(json.dumps([row]))
    facts = ("Mary moved to the bathroom.", "John went to the hallway.")
    assert read_release(path, "qa1") == [Story(facts, "Where is Mary?", "bathroom")]


@pytest.mark.fault(
    "a data file that is empty, truncated or of another encoding", "refused by name and line"
)
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"target": "moon"}, r"0k\.json, row 2: no question of qa1: "),
        ({"input": ""}, r"0k\.json, row 2: "),
        ({"input": " . "}, r"0k\.json, row 2: "),
        ({"input": "Mary moved to the bathroom. . John went to the office."}, r"row 2: "),
        ({"question": " "}, r"0k\.json, row 2: "),
        ({"input": None}, r"0k\.json is no list of input, question and target .*: "),
    ],
)
def test_a_release_that_is_not_whole_is_refused(
    tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    path = tmp_path / "0k.json"
    row = {"input": "Mary moved to the garden.", "question": "Where?", "target": "garden"}
    mend = "remove it, and it is fetched again; or put bAbI's"
    path.write_text(json.dumps([row, row | change]))
    with pytest.raises(ValueError, match=rf"{said}.*{mend}"):
        read_release(path, "qa1")
    path.write_text(json.dumps([row])[:-4])
    with pytest.raises(ValueError, match=rf"0k\.json is no list of .*: {mend}"):
        read_release(path, "qa1")
    path.write_text("[]")
    with pytest.raises(ValueError, match=rf"0k\.json, which is empty: .*: {mend}"):
        read_release(path, "qa1")


@pytest.mark.parametrize(("questions", "name"), [(4999, "babi-5k"), (1000, "babi-1k")])
def test_a_release_is_called_after_its_thousands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, questions: int, name: str
) -> None:
    row = {"input": "Mary moved to the garden.", "question": "Where?", "target": "garden"}

    def download(repository: str, *_: object, **__: object) -> str:
        path = tmp_path / "0k.json"
        path.write_text(json.dumps([row] * (questions if "train" in repository else 1)))
        return str(path)

    load_facts.cache_clear()
    monkeypatch.delenv("TITANS_DATA", raising=False)
    monkeypatch.setattr(babi_source, "hf_hub_download", download)
    assert load_facts("babi", "qa1").name == name
    load_facts.cache_clear()
