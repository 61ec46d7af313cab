"""Tables of speeds: machines stand apart, and rows of ours stand beside the paper's."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from experiments.beside import beside, listed, number, show
from experiments.compare import Comparison, compare
from experiments.page import grids
from experiments.plot import draw
from experiments.provenance import machine_name
from experiments.record import Record
from experiments.table import HERE, load, selecting

PEER = "peers/titans_pytorch"
AMD: dict[str, Any] = {"processor": "AMD", "cores": 2, "threads": 1, "device": "cpu"}
GPU: dict[str, Any] = {"processor": "Xeon", "cores": 8, "threads": 8, "device": "H100"}


def speed(
    model: str = "lmm", *extra: str, value: float | None = 5.0, seed: int = 0, **more: Any
) -> Record:
    """A record of the throughput task, at the lengths of both figures."""
    fields = {"machine": AMD, "versions": {"torch": "2"}, "settings": {"model.memory.depth": 2}}
    return Record(
        choices={"model": model, "task": "throughput", "scale": "tiny"},
        overrides=[f"model={model}", "task=throughput", *extra],
        scores={f"train/{1024 * 2**i}/ktokens_per_s": value for i in range(1, 6)},
        counts={"parameters": 1000},
        seed=seed,
        started="2026-01-01T00:00:00+00:00",
        **(fields | more),
    )


def figure8(*records: Record) -> Comparison:
    return compare(load(HERE / "figure8_depth"), records)


def figure9(*records: Record) -> Comparison:
    return compare(load(HERE / "figure9_throughput"), records)


def test_machines_are_never_pooled() -> None:
    comparison = figure9(speed(), speed(seed=1, value=7.0), speed(machine=GPU, value=90.0))
    found = {block.machine: block.scores for block in comparison.reduced}
    assert sorted(found) == [
        "AMD, 2 cores, 1 thread, torch 2",
        "H100, Xeon, 8 cores, 8 threads, torch 2",
    ]
    means = {score.mean for scores in found.values() for score in scores.values()}
    assert means == {6.0, 90.0}
    _, first, second = grids(comparison)
    assert "AMD" in first.title
    assert "H100" in second.title
    assert not comparison.paper.scores


@pytest.mark.parametrize("change", ["threads", "precision", "torch"])
def test_what_changes_speed_names_another_machine(change: str) -> None:
    names = {
        machine_name(AMD | {change: value}, {"torch": "2"} | {change: str(value)})
        for value in (1, 2)
    }
    assert len(names) == 2


def test_a_compiled_memory_is_timed_by_itself() -> None:
    name = machine_name(AMD | {"compiled": True}, {"torch": "2"})
    assert name == machine_name(AMD, {"torch": "2"}) + ", compiled"


def test_the_printed_lengths_of_figure_8_mean_powers_of_two() -> None:
    (block,) = figure8(speed()).reduced
    assert {cell.labels["length"] for cell in block.scores} == {
        *("2000", "4000", "8000", "16000", "32000")
    }


def test_the_default_depth_needs_no_override_to_be_a_cell() -> None:
    assert "model.memory.depth" in selecting()
    (block,) = figure8(speed()).reduced
    assert {cell.labels["model.memory.depth"] for cell in block.scores} == {"LMM (L_M=2)"}
    assert [c for c in figure8(speed()).commands() if "depth=2" in c] == []
    assert len(figure8(speed()).commands()) == 3


def test_another_depth_or_step_is_no_cell_of_figure_9() -> None:
    for override in ("model.memory.depth=4", "task.tokens=1"):
        comparison = figure9(speed("lmm", override))
        assert (len(comparison.changed), comparison.reduced) == (1, ())
    assert figure9(speed("lmm", "task.modes=[train]", "task.lengths=[2048]")).reduced


def test_rows_of_ours_are_asked_for_measured_and_not_printed() -> None:
    table = load(HERE / "figure9_throughput")
    assert len(table.ours) == 2 * 4
    commands = compare(table, []).commands()
    assert f"python run.py model={PEER} task=throughput scale=tiny seed=0" in commands
    paper, ours = grids(figure9(speed(PEER)))
    assert not any("titans-pytorch" in line[0] for line in paper.lines)
    (line,) = ours.lines
    assert line == ["titans-pytorch, its default", *4 * ["5.00 (1)"]]
    assert f"model={PEER} " not in " ".join(figure9(speed(PEER)).commands())


def test_a_row_of_ours_at_the_papers_scale_has_no_difference(tmp_path: Path) -> None:
    (tmp_path / "paper.csv").write_text("model,x\nMAC,1.0\n")
    (tmp_path / "table.yaml").write_text(
        "{title: T, value: x, unit: '', decimals: 1, higher_is_better: true, rows: [model],"
        " columns: [], score: a/b, run: {task: t, scale: '1'}, paper_scale: ['1'],"
        " selects: {model: {MAC: mac, Other: other}}, ours: {model: [Other]}}"
    )
    choices = {"model": "other", "task": "t", "scale": "1"}
    record = Record(choices=choices, seed=0, started="2026-01-01", scores={"a/b": 2.0})
    (grid,) = grids(compare(load(tmp_path), [record]))
    assert grid.lines == [["MAC", "paper", "1.0"], ["Other", "ours", "2.0 (1)"]]


def test_nothing_of_the_paper_stands_beside_a_speed(capsys: pytest.CaptureFixture[str]) -> None:
    record = speed("mac")
    assert beside(record) == {}
    show(record)
    text = capsys.readouterr().out
    assert "5.00" in text
    assert "prompts" not in text


@pytest.mark.parametrize(
    ("value", "text"),
    [(97.46, "97.5"), (5, "5.00"), (0.1234, "0.123"), (0, "0.0"), (None, "nan"), (1234, "1234.0")],
)
def test_numbers_have_three_digits(value: float | None, text: str) -> None:
    assert number(value) == text


def test_counts_are_listed_in_words() -> None:
    assert listed({"batch": 4, "out_of_memory": 1}) == "batch 4, out of memory 1"


@pytest.mark.parametrize(
    ("comparison", "panels"),
    [
        (lambda: figure8(speed()), ["the paper: machine not stated", "ours: tiny, 1 seed, AMD, 2"]),
        (
            lambda: figure9(speed(PEER, value=None), speed("mac"), speed("mac", machine=GPU)),
            [
                "the paper: machine not stated",
                "ours: tiny, 1 seed, AMD",
                "ours: tiny, 1 seed, H100",
            ],
        ),
    ],
    ids=["figure8", "figure9"],
)
def test_a_picture_has_a_panel_for_the_paper_and_each_machine(
    comparison: Callable[[], Comparison],
    panels: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from matplotlib.figure import Figure

    drawn: list[Any] = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: drawn.append(figure))
    draw(comparison(), tmp_path / "picture.png")
    titles = [axes.get_title().replace("\n", " ") for axes in drawn[0].axes]
    assert len(titles) == len(panels)
    assert all(title.startswith(start) for title, start in zip(titles, panels, strict=True))
    assert all(axes.get_ylim()[0] == 0 for axes in drawn[0].axes)


def test_a_table_without_panels_is_one_panel(tmp_path: Path) -> None:
    (tmp_path / "paper.csv").write_text("model,length,x\nMAC,1,1.0\nMAC,2,3.0\n")
    (tmp_path / "table.yaml").write_text(
        "{title: T, value: x, unit: u, decimals: 1, higher_is_better: true, rows: [model],"
        " columns: [length], score: 'a/{length}', run: {task: t, scale: tiny},"
        " selects: {model: {MAC: mac}}}"
    )
    choices = {"model": "mac", "task": "t", "scale": "tiny"}
    record = Record(choices=choices, seed=0, started="2026-01-01", scores={"a/1": 2.0, "a/2": 4.0})
    path = tmp_path / "picture.png"
    draw(compare(load(tmp_path), [record]), path)
    assert path.read_bytes().startswith(b"\x89PNG")
