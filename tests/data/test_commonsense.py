"""The benchmarks as files: copies in folders become the hub's fields, and none is half there."""

import bz2
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from data import commonsense
from data import commonsense_files as files
from data.commonsense import BENCHMARKS, SAMPLES, Questions


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where `TITANS_DATA` points, and no hub."""
    monkeypatch.setenv("TITANS_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("TITANS_CACHE", str(tmp_path / "cache"))

    def offline(*_: Any, **__: Any) -> None:
        raise ConnectionError("offline")

    monkeypatch.setattr(commonsense, "load_dataset", offline)
    return tmp_path / "data"


@pytest.fixture
def write(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Puts the file of a benchmark into the folder; it then counts as published in full."""

    def put(name: str, content: bytes, rows: int) -> Path:
        path = folder / BENCHMARKS[name].file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        monkeypatch.setitem(BENCHMARKS, name, BENCHMARKS[name]._replace(rows=rows))
        return path

    return put


def lines(*rows: dict[str, Any]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def found(name: str) -> list[dict[str, Any]]:
    text = Questions("published", [name]).files[name].read_text()
    return [json.loads(line) for line in text.splitlines()]


def test_wikitext_is_cut_into_articles(write: Callable[..., Path]) -> None:
    text = (
        " \n = One = \n \n Some text . \n \n = = Part = = \n More = text \n \n = Two = \n End \n "
    )
    write("wikitext", text.encode(), 2)
    pages = [row["page"] for row in found("wikitext")]
    assert "".join(pages) == text
    assert pages[1].startswith(" = Two = ")


def test_labels_are_put_beside_their_rows(write: Callable[..., Path]) -> None:
    path = write("piqa", lines({"goal": "g", "sol1": "a", "sol2": "b"}), 1)
    labels = path.with_name("valid-labels.lst")
    with pytest.raises(FileNotFoundError, match=r"valid-labels\.lst"):
        found("piqa")
    labels.write_text("1\n0\n")
    with pytest.raises(ValueError, match=r"valid-labels\.lst has 2 lines"):
        found("piqa")
    labels.write_text("1\n")
    assert found("piqa") == [{"goal": "g", "sol1": "a", "sol2": "b", "label": 1}]


@pytest.mark.parametrize(
    ("context", "whole", "begun"),
    [
        ("A man sits. He stands. the man", "A man sits. He stands.", "the man"),
        ("How to knit. Take wool. Begin.", "How to knit. Take wool. Begin.", ""),
        ("two men", "", "two men"),
    ],
)
def test_hellaswag_ends_where_its_sentence_is_left(
    tmp_path: Path, context: str, whole: str, begun: str
) -> None:
    path = tmp_path / "some.bz2"
    path.write_bytes(bz2.compress(f"Knitting: {context}\n2\na\nb\nc\nd\n".encode()))
    (row,) = files.hellaswag(path)
    assert (row["activity_label"], row["label"], row["endings"]) == ("Knitting", "2", [*"abcd"])
    assert (row["ctx_a"], row["ctx_b"]) == (whole, begun)


def test_winogrande_gets_its_gap_back(write: Callable[..., Path]) -> None:
    options = ["Ann met Bea, and Ann", "Ann met Bea, and Bea Low"]
    row = {"context_options": options, "continuation": "was glad.", "gold": 1}
    write("winogrande", lines(row), 1)
    sentence = "Ann met Bea, and _ was glad."
    expected = {"sentence": sentence, "option1": "Ann", "option2": "Bea Low", "answer": "2"}
    assert found("winogrande") == [expected]


def test_questions_lose_what_lm_eval_puts_before_them(write: Callable[..., Path]) -> None:
    write("arc_easy", lines({"query": "Question: Why?", "choices": ["x", "y"], "gold": 1}), 1)
    choices = {"text": ["x", "y"], "label": ["A", "B"]}
    assert found("arc_easy") == [{"question": "Why?", "choices": choices, "answerKey": "B"}]
    write("boolq", lines({"query": "Passage: Text.\nQuestion: is it?", "gold": 0}), 1)
    assert found("boolq") == [{"passage": "Text.", "question": "is it", "label": 0}]


@pytest.mark.fault(
    "a data file that is empty, truncated or of another encoding", "refused by name and line"
)
def test_a_truncated_file_is_refused_by_its_name(write: Callable[..., Path]) -> None:
    content = lines({"text": "one two"}, {"text": "three four"})
    path = write("lambada", content, 2)
    assert len(found("lambada")) == 2
    path.write_bytes(content[:-4])
    with pytest.raises(ValueError, match=rf"{path} is damaged in line 2"):
        found("lambada")
    path.write_bytes(lines({"text": "one two"}))
    with pytest.raises(ValueError, match=rf"{path} has 1 rows instead of 2"):
        found("lambada")
    path.write_bytes(lines({"text": "one two"}, {"texts": "three four"}))
    with pytest.raises(ValueError, match=rf"{path} has no text in row 2"):
        found("lambada")
    path.write_bytes(lines({"text": "one"}) + b'{"text": "\xe9"}\n')
    with pytest.raises(ValueError, match=rf"{path}, line 2: not UTF-8"):
        found("lambada")
    squeezed = write("hellaswag", bz2.compress(b"a: b\n0\n1\n2\n3\n4\n" * 9)[:-9], 9)
    with pytest.raises(ValueError, match=rf"{squeezed} is damaged"):
        found("hellaswag")


ARC = {"query": "Question: Why?", "choices": ["x", "y"]}


@pytest.mark.fault("a data file of another form", "refused by name and row")
@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        # As its authors publish it.
        ("winogrande", None, {"sentence": "_", "option1": "a", "option2": "b", "answer": "1"}),
        ("winogrande", None, {"context_options": ["a"], "continuation": "b", "gold": 0}),
        ("winogrande", None, {"context_options": ["a", "b"], "continuation": "c", "gold": 2}),
        ("arc_easy", ARC | {"gold": 0}, ARC | {"gold": 2}),
        ("arc_easy", ARC | {"gold": 0}, ARC | {"gold": -1}),
        ("boolq", None, {"query": 1, "gold": 0}),
        ("lambada", {"text": "one"}, [1]),
        ("lambada", {"text": "one"}, None),
    ],
)
def test_a_file_of_another_form_is_refused_by_its_row(
    write: Callable[..., Path], name: str, good: Any, bad: Any
) -> None:
    rows = [good, bad] if good else [bad]
    path = write(name, lines(*rows), len(rows))
    with pytest.raises(ValueError, match=rf"{path} .* in row {len(rows)}.*(README|again)"):
        found(name)


@pytest.mark.fault("a data file of another form", "refused by name and row")
def test_labels_that_are_no_numbers_are_refused(write: Callable[..., Path]) -> None:
    path = write("piqa", lines(*[{"goal": "g", "sol1": "a", "sol2": "b"}] * 2), 2)
    path.with_name("valid-labels.lst").write_text("1\nx\n")
    with pytest.raises(ValueError, match=rf"{path} .* in row 2 .*'x'.*data/README\.md"):
        found("piqa")


@pytest.mark.fault("an unreachable hub", "refused, with what to set")
def test_what_is_nowhere_is_refused_with_what_to_do(folder: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"lambada_test\.jsonl.*TITANS_DATA.*offline"):
        Questions("published", ["lambada"])
    with pytest.raises(ValueError, match=r"task\.benchmarks.*wikitext"):
        Questions("published", ["lambda"])


def test_the_hub_is_asked_for_one_commit(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def hub(*place: Any, **how: Any) -> list[dict[str, Any]]:
        asked.append((place, how))
        return [{"text": "one two", "more": 1}] * 5153

    monkeypatch.setattr(commonsense, "load_dataset", hub)
    assert found("lambada")[0] == {"text": "one two"}
    ((place, how),) = asked
    assert place == ("EleutherAI/lambada_openai", "default")
    assert how["split"] == "test"
    assert len(how["revision"]) == 40


def test_another_source_leaves_a_runs_questions_alone(write: Callable[..., Path]) -> None:
    write("lambada", lines({"text": "one two"}), 1)
    (mine,) = Questions("published", ["lambada"]).files.values()
    write("lambada", lines({"text": "three four"}), 1)
    (other,) = Questions("published", ["lambada"]).files.values()
    assert json.loads(mine.read_text()) == {"text": "one two"}
    assert json.loads(other.read_text()) == {"text": "three four"}


@pytest.mark.parametrize("name", BENCHMARKS)
def test_samples_have_the_hubs_fields(name: str) -> None:
    rows = list(files.json_lines(SAMPLES / f"{name}.jsonl"))
    assert len(rows) >= 3
    assert all(set(row) == set(BENCHMARKS[name].fields) for row in rows)
