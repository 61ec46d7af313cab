"""Better or worse is said only of a difference that is larger than ours is uncertain."""

from math import nan, sqrt
from typing import Any

import pytest

from experiments.block import Score
from experiments.cell import Cell
from experiments.compare import compare
from experiments.record import Record
from experiments.table import HERE, Table, load
from experiments.verdict import uncertainty, verdict


def measured(
    model: str, score: str, *values: float, prompts: int | None = None
) -> tuple[Table, Cell, Score]:
    """The cell of Table 1 at 340M that records with these values, one a seed, fill."""
    more: dict[str, Any] = {"counts": {f"prompts/{score}": prompts}} if prompts else {}
    records = [
        Record(
            choices={
                "model": model,
                "task": "commonsense",
                "experiment": "language",
                "scale": "340m",
            },
            seed=seed,
            scores={score: value},
            started="2026-01-01",
            **more,
        )
        for seed, value in enumerate(values)
    ]
    comparison = compare(load(HERE / "table1_language"), records)
    ((cell, found),) = comparison.paper.scores.items()
    return comparison.table, cell, found


def test_seeds_count_by_students_t() -> None:
    # Three seeds: t = 4.30 with two degrees of freedom; the sample deviation is 1.
    width = uncertainty(*measured("mac", "wikitext/ppl", 25.0, 26.0, 27.0))
    assert width == pytest.approx(4.30 / sqrt(3) + 0.005)


def test_prompts_count_by_the_binomial_law() -> None:
    width = uncertainty(*measured("mac", "piqa/acc", 50.0, prompts=1000))
    assert width == pytest.approx(1.96 * 100 * sqrt(0.25 / 1000) + 0.005)
    # Seeds may be asked the same prompts: a second seed does not halve what these leave open.
    assert uncertainty(*measured("mac", "piqa/acc", 50.0, 50.0, prompts=1000)) == width


def test_neither_0_nor_100_percent_is_certain() -> None:
    for value in (0.0, 100.0):
        width = uncertainty(*measured("mac", "piqa/acc", value, prompts=20))
        assert width is not None
        assert 5 < width < 15


def test_seeds_and_prompts_add_up_in_squares() -> None:
    seeds = 12.71 * sqrt(2) / sqrt(2)
    prompts = 1.96 * 100 * sqrt((0.49 * 0.51 + 0.51 * 0.49) / 2 / 10_000)
    width = uncertainty(*measured("mac", "piqa/acc", 49.0, 51.0, prompts=10_000))
    assert width == pytest.approx(sqrt(seeds**2 + prompts**2) + 0.005, rel=1e-3)


@pytest.mark.parametrize(
    ("score", "values", "prompts", "word"),
    [
        # The paper's MAC at 340M: perplexity 25.43, accuracy 65.32.
        ("wikitext/ppl", (25.4, 25.5), None, "within"),
        ("wikitext/ppl", (24.0, 24.01), None, "better"),
        ("wikitext/ppl", (27.0, 27.01), None, "worse"),
        ("wikitext/ppl", (25.43,), None, "one seed"),
        ("wikitext/ppl", (25.43,), 1000, "one seed"),
        ("wikitext/ppl", (25.4, nan), None, "not finite"),
        ("piqa/acc", (66.0,), 1800, "within"),
        ("piqa/acc", (70.0,), 1800, "better"),
        ("piqa/acc", (60.0,), 1800, "worse"),
        ("piqa/acc", (70.0,), None, "one seed"),
    ],
)
def test_the_word(score: str, values: tuple[float, ...], prompts: int | None, word: str) -> None:
    assert verdict(*measured("mac", score, *values, prompts=prompts)) == word


def test_where_the_paper_has_no_number_there_is_no_word() -> None:
    table, cell, score = measured("mac", "wikitext/ppl", 25.0, 26.0)
    alone = Cell(cell.labels, nan, cell.scores, cell.run)
    assert verdict(table, alone, score) == ""
