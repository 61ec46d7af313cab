"""What a picture shows of a table."""

from experiments.plot import labels, panels
from tests.experiments.needle_records import KEY, niah, table2


def test_a_picture_has_the_budget_with_the_most_scores() -> None:
    more = {"tokens": 9000, f"prompts/{KEY}": 24}
    small, large = niah(90), niah(70, seed=1, counts=more)
    other = niah(60, choices={"model": "lmm", "task": "niah", "scale": "tiny"})
    (panel, *_) = panels(table2(large, small, other))
    drawn = {cell.labels["model"]: it.mean for scores in panel.ours for cell, it in scores.items()}
    assert drawn == {"Titans (MAC)": 90, "Titans (LMM)": 60}


def test_a_picture_has_rather_the_recipe_of_today() -> None:
    counts = {"tokens": 1000, "steps": 1200, f"prompts/{KEY}": 24}
    lmm = {"choices": {"model": "lmm", "task": "niah", "scale": "tiny"}}
    older = [niah(90, counts=counts), niah(60, counts=counts, **lmm)]
    today = niah(70, counts=counts | {"tokens": 9000, "steps": 1800})
    (panel, *_) = panels(table2(*older, today))
    assert [it.mean for scores in panel.ours for it in scores.values()] == [70]


def test_lengths_that_would_touch_are_not_written() -> None:
    lengths = [2.0**power for power in range(11, 22)]
    assert labels(lengths, 2)[:5] == ["2K", "", "8K", "", "32K"]
    assert "" not in labels(lengths, 1)
    assert labels([2048, 3072, 10_485_760], 1) == ["2K", "", "10M"]
