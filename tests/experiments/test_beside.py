import pytest

from experiments.beside import beside, chance, means, show
from experiments.record import Record


def record(task: str = "niah", scale: str = "tiny", **more: object) -> Record:
    choices = {"model": "mac", "task": task, "scale": scale}
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


def test_of_several_scales_that_of_the_run() -> None:
    assert beside(record("commonsense"))["wikitext/ppl"] == 25.43
    assert beside(record("commonsense", "760m"))["wikitext/ppl"] == 19.93


def test_chance_and_the_mean_of_a_row(capsys: pytest.CaptureFixture[str]) -> None:
    accuracies = ["lambada", "piqa", "winogrande", "arc_easy", "siqa", "boolq"]
    scores = {f"{name}/acc": 40.0 for name in accuracies}
    show(record("commonsense", scores=dict(scores)))
    assert "average" not in capsys.readouterr().out
    whole = scores | {"hellaswag/acc_norm": 48.0, "arc_challenge/acc_norm": 48.0}
    assert means(record("commonsense", scores=whole))["average/acc"] == 42.0
    assert chance(record("commonsense"))["piqa/acc"] == 50
    show(record("commonsense", scores=whole))
    shown = [line.split() for line in capsys.readouterr().out.splitlines()]
    at = shown.index(["average", "ours:", "tiny", "42.0"])
    assert shown[at + 1][-1] == "47.4"
    # A guess among two, four, three: the mean over the eight.
    assert shown[at + 2] == ["chance", "32.3"]
