"""The front page: a few scores of each table, beside what they may stand beside, and the cost."""

from dataclasses import replace

import pytest

from experiments.compare import compare
from experiments.front import front, small
from experiments.record import Record
from experiments.table import HERE, load


def record(
    task: str, scale: str, scores: dict[str, float], seed: int = 0, **settings: str
) -> Record:
    return Record(
        choices={"model": "lmm", "task": task, "scale": scale},
        seed=seed,
        settings={key.replace("__", "."): value for key, value in settings.items()},
        scores=scores,  # type: ignore[arg-type]
        started=f"2026-01-01T00:00:0{seed}+00:00",
        seconds=1800,
        machine={"cores": 2, "device": "cpu", "threads": 1},
    )


def test_a_reduced_score_stands_beside_no_printed_number() -> None:
    scores = {"niah_single_1/2048": 90.0, "niah_single_1/16384": 70.0}
    records = [record("niah", "tiny", scores, seed) for seed in (0, 1)]
    grid = small(compare(load(HERE / "table2_niah"), records))
    assert grid.header == ["", "niah_single_1 16384 ↑"]
    assert grid.lines == [["Titans (LMM)", "70.0 ± 0.0 (2)"]]
    assert "tiny" in grid.remarks[0]
    assert grid.remarks[-1].endswith("1.0 core hours.")


def test_a_score_at_the_paper_s_scale_stands_before_the_printed_one() -> None:
    horizons = ("96", "192", "336", "720")
    records = [
        record("timeseries", "window", {"ETTh1/mse": 0.5}, task__dataset="ETTh1", task__horizon=it)
        for it in horizons
    ]
    grid = small(compare(load(HERE / "table3_timeseries"), records))
    assert grid.lines == [["Neural Memory", "0.500 (1) / 0.420"]]
    assert "bf16" not in grid.remarks[0]
    half = {"machine": {"precision": "bf16-mixed"}, "counts": {"steps": 10}}
    grid = small(compare(load(HERE / "table3_timeseries"), [replace(r, **half) for r in records]))
    assert grid.remarks[0].endswith(". Trained in bf16-mixed, scored in float32 throughout.")


def test_the_scores_of_each_protocol_have_columns_of_their_own() -> None:
    records = [
        record("context", "tiny", {"context/2048": 60.0}),
        record("niah", "tiny", {"niah_single_1/16384": 70.0}),
    ]
    page = front([compare(load(HERE / "table5_ablation"), records)], records)
    assert "language_modeling ppl ↓ [1]" in page
    assert "long_context acc ↑ [2]" in page
    assert page.endswith("All runs: 2, of 1 core hours.")


def test_a_table_without_scores_is_left_out() -> None:
    assert front([compare(load(HERE / "table2_niah"), [])], []) == "All runs: 0, of 0 core hours."


@pytest.mark.parametrize(
    ("machine", "hours"),
    [
        ({"cores": 2}, 1.0),
        ({"cores": 2, "device": "cpu", "threads": 1}, 0.5),
        ({"cores": 64, "device": "NVIDIA H100", "threads": 8, "processes": 4}, 2.0),
        ({"cores": "many"}, 0.5),
    ],
)
def test_a_run_costs_the_cores_or_the_devices_that_computed(
    machine: dict[str, object], hours: float
) -> None:
    run = Record(choices={}, seed=0, started="2026-01-01", seconds=1800, machine=machine)
    assert run.core_hours == hours
