"""Runs by another protocol stand apart, and beside none of the printed numbers."""

from dataclasses import replace
from math import isnan

import pytest

from experiments.beside import beside
from experiments.compare import Comparison, compare
from experiments.front import small
from experiments.html import render
from experiments.page import grids, left_out
from experiments.plot import lines, panels
from experiments.record import Record
from experiments.table import HERE, load, selecting

NAME = "human_nontata_promoters"
TITLE = "Cross-validated on the test part, from scratch"


def record(score: float, *extra: str, fold: int = 0, folds: int = 5, seed: int = 0) -> Record:
    protocol = "cross_validated_" if folds > 1 else ""
    protocol += "fine_tuned_" if any("pretrained" in override for override in extra) else ""
    return Record(
        choices={"model": "lmm", "task": "genomics", "scale": "tiny"},
        settings={"task.dataset": NAME, "task.folds": folds, "task.fold": fold},
        overrides=["model=lmm", "task=genomics", f"task.folds={folds}", f"task.fold={fold}", *extra]
        if folds > 1
        else ["model=lmm", "task=genomics"],
        seed=seed,
        scores={f"{NAME}/{protocol}acc": score},
        started="2026-01-01T00:00:00+00:00",
    )


def compared(*records: Record) -> Comparison:
    return compare(load(HERE / "table4_genomics"), records)


def folds(score: float, seed: int = 0) -> list[Record]:
    return [record(score + fold, fold=fold, seed=seed) for fold in range(5)]


def test_the_folds_of_a_seed_are_one_score() -> None:
    comparison = compared(*folds(80.0), *folds(84.0, seed=1))
    (block,) = comparison.reduced
    ((cell, score),) = block.scores.items()
    assert block.protocol == TITLE
    assert score.values == (82.0, 86.0)
    assert cell.labels["model"] == "Neural Memory"
    assert isnan(cell.paper), "no printed number is of this protocol"
    assert not comparison.paper.scores
    assert not left_out(comparison)
    paper, own = grids(comparison)
    assert own.title.startswith(f"{TITLE}: tiny")
    assert any("84.0 ± 2.8 (2)" in text for line in own.lines for text in line)
    assert not any("84.0 ± 2.8" in text for line in paper.lines for text in line)


def test_sets_of_unlike_sizes_stand_in_one_block() -> None:
    few, many = folds(80.0), folds(84.0, seed=1)
    found = [replace(it, counts={"tokens": 100}) for it in few]
    found += [replace(it, counts={"tokens": 900}) for it in many]
    (block,) = compared(*found).reduced
    assert [score.values for score in block.scores.values()] == [(82.0, 86.0)]


def test_a_fold_that_is_missing_leaves_no_score() -> None:
    comparison = compared(*folds(80.0)[1:])
    assert not comparison.reduced
    (line,) = left_out(comparison)
    assert line.startswith("Runs of a mean that lacks others, not shown (4): lmm ")
    assert "task.fold=1 task.folds=5;" in line


def test_the_benchmarks_own_parts_stand_apart_from_folds() -> None:
    own, folded = compared(*folds(80.0), record(90.0, folds=1)).reduced
    assert [score.mean for score in own.scores.values()] == [90.0]
    assert own.protocol == ""
    assert [score.mean for score in folded.scores.values()] == [82.0]


def test_a_changed_recipe_is_said() -> None:
    comparison = compared(*folds(80.0), record(99.0, "task.training.epochs=1"))
    assert [s.mean for b in comparison.reduced for s in b.scores.values()] == [82.0]
    assert len(comparison.changed) == 1
    (line,) = left_out(comparison)
    assert "task.training.epochs=1" in line


def test_what_was_fine_tuned_stands_beside_what_was_trained_from_scratch() -> None:
    tuned = [record(86.0 + n, "task.pretrained=some/last.ckpt", fold=n) for n in range(5)]
    comparison = compared(*folds(80.0), *tuned)
    found = {b.protocol: [s.mean for s in b.scores.values()] for b in comparison.reduced}
    assert found == {TITLE: [82.0], TITLE.replace("from scratch", "fine-tuned"): [88.0]}
    assert not left_out(comparison)


def test_what_was_fine_tuned_on_the_benchmarks_own_parts_has_a_block_too() -> None:
    extra = {"scores": {f"{NAME}/fine_tuned_acc": 95.0}}
    scratch = record(90.0, folds=1)
    tuned = replace(scratch, overrides=[*scratch.overrides, "task.pretrained=some.ckpt"], **extra)
    comparison = compared(scratch, tuned)
    found = {b.protocol: [s.mean for s in b.scores.values()] for b in comparison.reduced}
    assert found == {"": [90.0], "The benchmark's own parts, fine-tuned": [95.0]}
    assert not left_out(comparison)


def test_a_run_is_shown_beside_the_paper_by_its_own_protocol_alone() -> None:
    assert beside(record(80.0, folds=1)) == {f"{NAME}/acc": 96.6}
    assert f"{NAME}/cross_validated_acc" not in beside(record(80.0))


@pytest.mark.parametrize("key", ["task.folds", "task.fold"])
def test_a_record_says_which_fold_it_is(key: str) -> None:
    assert key in selecting()


def test_another_text_has_a_panel_of_its_own() -> None:
    found = Record(
        choices={"model": "lmm", "task": "context", "scale": "tiny"},
        overrides=["model=lmm", "task=context", "scale=tiny"],
        seed=0,
        scores={"context/2048": 64.0},
        started="2026-01-01T00:00:00+00:00",
    )
    table = load(HERE / "figure7_depth")
    shown = panels(compare(table, [found]))
    assert [panel.title for panel in shown[:3]] == [f"the paper: {n}M" for n in (170, 360, 760)]
    assert not any(panel.ours for panel in shown[:3])
    (own,) = shown[3:]
    assert own.title.startswith("ours: Held-out English")
    assert lines(table, own.ours[0]) == {"LMM (L_M=2)": [(2000.0, 64.0, 0.0)]}
    assert not own.printed


def test_a_protocol_may_have_columns_of_its_own() -> None:
    scored = Record(
        choices={"model": "mamba", "task": "context", "scale": "tiny"},
        seed=0,
        scores={"context/2048": 60.0, "context/32768": 61.0},
        started="2026-01-01T00:00:00+00:00",
    )
    comparison = compare(load(HERE / "table1_language"), [scored])
    paper, own = grids(comparison)
    assert "perplexity" not in "".join(paper.header[2:])
    assert own.header == ["model", "perplexity at 2,048 ↓", "perplexity at 32,768 ↓"]
    assert own.lines == [["Mamba", "60.00 (1)", "61.00 (1)"]]
    assert small(comparison).lines == [["Mamba", "60.00 (1)"]]
    assert "perplexity at 32,768" in render([comparison], [scored], [])
    missing = comparison.commands()
    assert missing
    assert not any("task=context" in command for command in missing)


def test_a_sweep_knows_what_fills_a_protocol_s_own_columns() -> None:
    table = load(HERE / "table1_language")
    found = [cell for cell in table.protocols[-1].wanted if cell.run["model"] == "mamba2"]
    assert {cell.scores for cell in found} == {("context/2048",), ("context/32768",)}
