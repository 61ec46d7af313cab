"""Which record fills which cell: only the recipe, at its own scale, one value a seed."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from experiments.compare import Comparison, compare
from experiments.page import about, grids, left_out
from experiments.precision import precision
from experiments.record import Record
from experiments.report import CLOSE, OPEN, markdown, write_report
from experiments.table import HERE, TableError, load, names
from tests.experiments.needle_records import niah, table2


def language(scale: str, seed: int = 0, ppl: float = 30.0) -> Record:
    """A record of MAC on the language task."""
    return Record(
        choices={"model": "mac", "task": "commonsense", "experiment": "language", "scale": scale},
        seed=seed,
        scores={"wikitext/ppl": ppl, "lambada/ppl": ppl + 2},
        started="2026-01-01T00:00:00+00:00",
    )


@pytest.mark.parametrize(
    ("name", "both", "shown"),
    [
        ("table1_language", 550, 429),
        ("table2_niah", 106, 84),
        ("table3_timeseries", 126, 126),
        ("table4_genomics", 37, 37),
        ("table5_ablation", 27, 27),
    ],
)
def test_every_printed_number_is_there(name: str, both: int, shown: int) -> None:
    lines = (HERE / name / "paper.csv").read_text().splitlines()
    assert len(lines) - 1 == both
    assert len(load(HERE / name).cells) == shown


@pytest.mark.parametrize("name", names())
def test_every_table_reads_and_is_drawn_in_full(name: str) -> None:
    table = load(HERE / name)
    (grid,) = grids(compare(table, []))
    drawn = [text for line in grid.lines for text in line[len(table.rows) :] if text]
    assert len(drawn) == len(table.cells) > 0
    assert all(len(line) == len(grid.header) for line in grid.lines)


@pytest.mark.parametrize("name", names())
def test_every_remark_is_about_something(name: str) -> None:
    cells = [c for edition in ("v1", "camera-ready") for c in load(HERE / name, edition).cells]
    for note in load(HERE / name).notes:
        assert not note.at or any(note.about(cell) for cell in cells), note.text


def test_seeds_are_pooled_to_mean_and_sample_deviation() -> None:
    (block,) = table2(niah(90.0), niah(94.0, seed=1)).reduced
    (score,) = block.scores.values()
    assert score.mean == 92.0
    assert score.deviation == pytest.approx(8**0.5)
    assert score.prompts == (24,)
    (_, grid) = grids(table2(niah(90.0), niah(94.0, seed=1)))
    assert "92.0 ± 2.8 (2 x 24)" in grid.lines[0]
    assert "tiny" in grid.title
    assert "1,000 tokens" in grid.title


def test_the_newest_finished_record_of_a_seed_counts() -> None:
    newer = niah(95.0, started="2026-02-01T00:00:00+00:00")
    newest = niah(5.0, started="2026-03-01T00:00:00+00:00", status="failed", error="killed")
    comparison = table2(newest, newer, niah(90.0))
    (block,) = comparison.reduced
    assert [score.values for score in block.scores.values()] == [(95.0,)]
    assert comparison.failed == (newest,)
    assert "killed" in left_out(comparison)[0]


def test_budgets_are_not_pooled() -> None:
    longer = niah(99.0, seed=1, counts={"tokens": 2000})
    assert len(table2(niah(90.0), longer).reduced) == 2


def test_runs_of_as_many_tokens_in_steps_of_another_size_are_not_pooled() -> None:
    few, many = (
        niah(90.0, seed=seed, counts={"tokens": 1000, "steps": steps})
        for seed, steps in ((0, 2929), (1, 5859))
    )
    assert [block.records for block in table2(many, few).reduced] == [(few,), (many,)]


def test_precisions_are_not_pooled() -> None:
    half = {"machine": {"precision": "bf16-mixed"}}
    comparison = table2(niah(90.0), niah(80.0, seed=1, **half))
    found = {b.precision: [s.mean for s in b.scores.values()] for b in comparison.reduced}
    assert found == {"": [90.0], "bf16-mixed": [80.0]}
    full, other = (grid.title for grid in grids(comparison)[1:])
    assert other == f"{full}, bf16-mixed"
    assert len(comparison.fullest()) == 2


def test_a_checkpoint_is_of_the_precision_it_was_trained_in() -> None:
    scored = ("hardware=cpu", "evaluate_only=last.ckpt")
    for trained in ("hardware.trainer.precision=bf16-mixed", "hardware=gpu", "hardware=slurm"):
        record = niah(90.0, trained, *scored, machine={"precision": "32-true"})
        assert precision(record) == "trained in bf16-mixed, scored in float32"
    assert not precision(niah(90.0, *scored, machine={"precision": "32-true"}))


def test_a_training_in_mixed_precision_is_scored_in_the_full() -> None:
    mixed = niah(90, machine={"precision": "bf16-mixed"}, counts={"steps": 10})
    assert precision(mixed) == "trained in bf16-mixed, scored in float32"
    full = niah(90, "evaluate_only=last.ckpt", machine={"precision": "bf16-mixed"})
    hardware = replace(full, overrides=["hardware=cpu", *full.overrides], counts={"steps": 10})
    assert precision(hardware) == ""


def test_at_the_papers_scale_the_other_precision_stands_apart() -> None:
    records = [language("400m", seed, 25.0 + 2 * seed) for seed in range(5)]
    for seed in (3, 4):
        half = {"machine": {"precision": "bf16-mixed"}, "counts": {"tokens": 1000 * seed}}
        records[seed] = replace(records[seed], **half)
    comparison = compare(load(HERE / "table1_language"), records)
    ppl = next(cell for cell in comparison.paper.scores if cell.name == "wikitext/ppl")
    (block,) = comparison.reduced
    assert comparison.paper.scores[ppl].values == (25.0, 27.0, 29.0)
    assert block.scores[ppl].values == (31.0, 33.0)
    assert about(block) == "At the paper's scale: 400m, 3,000-4,000 tokens, bf16-mixed"


def test_at_the_papers_scale_a_cell_may_be_of_another_precision_and_is_named() -> None:
    full, half = language("400m"), language("400m")
    half = replace(half, choices=half.choices | {"model": "mag"})
    half = replace(half, machine={"precision": "bf16-mixed"}, counts={"steps": 10})
    comparison = compare(load(HERE / "table1_language"), [full, full, half])
    assert not comparison.reduced
    assert {cell.run["model"] for cell in comparison.paper.scores} == {"mac", "mag"}
    said = "Trained in bf16-mixed, scored in float32"
    assert f"{said}: 400M Titans (MAG)." in grids(comparison)[0].remarks
    alone = compare(load(HERE / "table1_language"), [half])
    assert f"{said} throughout." in grids(alone)[0].remarks


def test_a_score_that_is_not_finite_is_measured_and_shown_as_such() -> None:
    comparison = table2(niah(None), niah(90.0, seed=1))
    assert "nan ± nan (2 x 24)" in grids(comparison)[1].lines[0]


def test_reduced_scale_never_stands_at_the_papers_scale() -> None:
    records = [language("tiny"), language("400m", 0, 25.0), language("400m", 1, 27.0)]
    comparison = compare(load(HERE / "table1_language"), records)
    assert {cell.labels["scale"] for cell in comparison.paper.scores} == {"400M"}
    wikitext, _ = comparison.paper.scores.values()
    assert (wikitext.values, wikitext.mean) == ((25.0, 27.0), 26.0)
    (block,) = comparison.reduced
    assert block.scale == "tiny"
    assert {score.values for score in block.scores.values()} == {(30.0,), (32.0,)}
    assert comparison.apart() == 2
    assert not table2(niah(1.0)).paper.scores


def test_ours_stands_under_theirs_with_the_difference() -> None:
    comparison = compare(load(HERE / "table5_ablation"), [language("400m")])
    lines = [line for line in grids(comparison)[0].lines if line[0] == "MAC"]
    assert [line[1:3] for line in lines] == [
        ["paper", "26.67"],
        ["ours", "31.00 (1)"],
        ["difference", "+4.33"],
    ]


def test_a_difference_of_nothing_has_no_minus() -> None:
    comparison = compare(load(HERE / "table5_ablation"), [language("400m", ppl=25.669)])
    (line,) = (x for x in grids(comparison)[0].lines if x[:2] == ["MAC", "difference"])
    assert line[2] == "+0.00"


@pytest.mark.parametrize(
    "override", ["optimizer.lr=1", "optimizer=sgd", "+x=1", "experiment=other", "model.depth=4"]
)
def test_a_changed_recipe_is_no_cell(override: str) -> None:
    comparison = table2(niah(90.0, override), niah(94.0, seed=1))
    assert len(comparison.changed) == 1
    (block,) = comparison.reduced
    assert [score.values for score in block.scores.values()] == [(94.0,)]
    assert override in left_out(comparison)[0]


@pytest.mark.parametrize(
    "override",
    ["task.prompts=8", "hardware=gpu", "logger=none", "hydra.run.dir=x", "experiment=table2_niah"],
)
def test_what_leaves_the_recipe_alone_is_a_cell(override: str) -> None:
    assert table2(niah(90.0, override)).reduced


def test_a_length_past_the_papers_is_shown_where_measured_and_never_missing() -> None:
    far = "niah_single_1/2097152"
    before = table2(niah(90))
    after = table2(niah(90), niah(80, scores={far: 80}))
    assert "2097152 ↑" not in grids(before)[1].header
    assert grids(after)[1].header[-1] == "2097152 ↑"
    assert grids(after)[1].lines[0][-1] == "80.0 (1)"
    assert [cell.labels for cell in after.missing()] == [cell.labels for cell in before.missing()]
    assert not any("2097152" in cell.labels["length"] for cell in before.missing())


def test_one_command_fills_many_cells(tmp_path: Path) -> None:
    for option in ("task/niah", "scale/tiny", "model/mac", "model/lmm"):
        (tmp_path / f"{option}.yaml").parent.mkdir(exist_ok=True)
        (tmp_path / f"{option}.yaml").touch()
    commands = table2().commands(tmp_path)
    assert "python run.py model=mac task=niah scale=tiny seed=0" in commands
    assert len(commands) == 2
    full = niah(90.0, scores={f"niah_single_{i}/{2**n}": 1.0 for i in (1, 2, 3) for n in range(15)})
    assert len(table2(full).commands(tmp_path)) == 1


def series(horizon: int, mse: float, seed: int = 0, **fields: object) -> Record:
    """A record of LMM on one horizon of ETTh1."""
    content: dict[str, object] = {
        "choices": {"model": "lmm", "task": "timeseries", "scale": "window"},
        "settings": {"task.dataset": "ETTh1", "task.horizon": horizon},
        "overrides": ["experiment=timeseries", "task.dataset=ETTh1", f"task.horizon={horizon}"],
        "seed": seed,
        "scores": {"ETTh1/mse": mse, "ETTh1/mae": 1.0, "ETTh2/mse": 0.3},
        "started": "2026-01-01",
    }
    return Record(**(content | fields))  # type: ignore[arg-type]


def table3(*records: Record) -> Comparison:
    return compare(load(HERE / "table3_timeseries"), records)


HORIZONS = (96, 192, 336, 720)


def test_a_setting_selects_the_cell() -> None:
    comparison = table3(*(series(horizon, 0.4) for horizon in HORIZONS))
    assert {cell.labels["task.dataset"] for cell in comparison.paper.scores} == {"ETTh1"}
    assert "ETTm1" in {cell.run["task.dataset"] for cell in comparison.missing()}


def test_a_score_is_the_mean_over_the_horizons_of_a_seed() -> None:
    records = [series(h, 0.1 * i + 0.2 * seed, seed) for i, h in enumerate(HORIZONS)
               for seed in (0, 1)]  # fmt: skip
    block = table3(*records, series(96, 9.0, seed=2)).paper
    (score,) = (score for cell, score in block.scores.items() if cell.labels["metric"] == "mse")
    assert score.values == pytest.approx((0.15, 0.35))
    assert len(block.records) == 8


def test_the_last_record_of_a_horizon_counts() -> None:
    records = [series(horizon, 0.4) for horizon in HORIZONS]
    again = series(720, 0.8, started="2026-02-01")
    block = table3(again, *records).paper
    (score,) = (score for cell, score in block.scores.items() if cell.labels["metric"] == "mse")
    assert score.values == pytest.approx((0.5,))


def test_a_cell_is_missing_as_long_as_one_horizon_is() -> None:
    comparison = table3(*(series(horizon, 0.4) for horizon in (96, 192, 720)))
    assert not comparison.paper.scores
    (one,) = (c for c in comparison.commands() if "model=lmm" in c and "ETTh1" in c)
    assert "task.horizon=336" in one


def test_another_horizon_is_no_run_of_the_table() -> None:
    records = [series(horizon, 0.4) for horizon in (*HORIZONS, 48)]
    comparison = table3(*records)
    assert len(comparison.paper.records) == 4
    assert not comparison.partial


def test_a_broken_table_names_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "table2_niah"
    shutil.copytree(HERE / "table2_niah", folder)
    with (folder / "table.yaml").open("a") as file:
        file.write("colour: red\n")
    with pytest.raises(TableError, match="table2_niah"):
        load(folder)


def test_a_verdict_is_one_of_four(tmp_path: Path) -> None:
    folder = tmp_path / "table2_niah"
    shutil.copytree(HERE / "table2_niah", folder)
    spec = (folder / "table.yaml").read_text().partition("claims:")[0]
    (folder / "table.yaml").write_text(spec + "claims: [{claim: a, evidence: b, verdict: yes!}]")
    with pytest.raises(TableError, match="does not hold"):
        load(folder)


def test_the_report_is_idempotent_and_keeps_the_words_around_it(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    shutil.copy(HERE / "table2_niah" / "README.md", readme)
    words = readme.read_text().partition(OPEN)[0]
    generated = markdown(table2(niah(90.0)))
    assert write_report(readme, generated)
    page = readme.read_text()
    assert not write_report(readme, generated)
    assert page.startswith(words)
    assert "| niah_single_1 | Titans (MAC) | 90.0 (1 x 24) |" in page
    readme.write_text(page.replace(CLOSE, ""))
    with pytest.raises(TableError, match="README"):
        write_report(readme, generated)
