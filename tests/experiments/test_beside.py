import pytest

from experiments.beside import beside, show
from experiments.record import Record


def record(**more: object) -> Record:
    choices = {"model": "mac", "task": "niah", "scale": "tiny"}
    return Record(choices=choices, seed=0, started="2026-01-01T00:00:00+00:00", **more)


def test_the_papers_numbers_of_that_model_and_task() -> None:
    paper = beside(record())
    assert paper["niah_single_1/16384"] == 98.4
    assert not any(score.startswith("wikitext") for score in paper)


def test_shows_both_with_the_number_of_prompts(capsys: pytest.CaptureFixture[str]) -> None:
    scores = {"niah_single_1/2048": 97.5, "niah_single_1/999": None}
    show(record(scores=scores, counts={"prompts/niah_single_1/2048": 200}))
    text = capsys.readouterr().out
    assert "97.5 (200)" in text
    assert "99.2" in text
    assert "paper: its full-size model" in text
    assert "nan" in text


def test_shows_nothing_where_nothing_was_scored(capsys: pytest.CaptureFixture[str]) -> None:
    show(record())
    assert capsys.readouterr().out == ""
