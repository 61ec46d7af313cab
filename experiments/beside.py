"""What one run measured, beside the paper's numbers for the same model and task."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from math import isfinite
from statistics import fmean

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table as Grid

from experiments.cell import Cell
from experiments.record import Record
from experiments.table import HERE, Table, load, names

PAPER = "paper: its full-size model"
CHANCE = "chance"


def beside(record: Record) -> dict[str, float]:
    """Score -> the paper's number for that model and task, whatever the scale and the recipe."""
    return _first((cell.name, cell.paper) for _, cell in _cells(record))


def means(record: Record) -> dict[str, float]:
    """The means that a table of the paper makes of a record's scores."""
    scores = record.scores
    return _first(
        (cell.name, fmean(v for name in cell.scores if (v := scores[name]) is not None))
        for _, cell in _cells(record)
        if len(cell.scores) > 1 and all(scores.get(name) is not None for name in cell.scores)
    )


def chance(record: Record) -> dict[str, float]:
    """Score -> what guessing scores, where that is known."""
    guessed = ((cell.name, table.guessed(cell)) for table, cell in _cells(record))
    return _first((name, value) for name, value in guessed if value is not None)


def _cells(record: Record) -> Iterator[tuple[Table, Cell]]:
    """The cells of the paper's tables that are about the same model and task."""
    for table in map(load, (HERE / name for name in names())):
        # Another machine's speed is no measure of this one, nor a mean over runs of one of them.
        if table.by_machine or table.average_over:
            continue
        # Of the paper's scales that of the run first, where it is one of them.
        scale = record.choices.get("scale")
        for cell in sorted(table.cells, key=lambda cell: cell.run.get("scale") != scale):
            if cell.scores and cell.run and _same(cell.run, record):
                yield table, cell


def _first(pairs: Iterable[tuple[str, float]]) -> dict[str, float]:
    found: dict[str, float] = {}
    for name, value in pairs:
        found.setdefault(name, value)
    return found


def show(record: Record) -> None:
    """Prints the scores as a table: data sets down, metrics across, the paper's below ours."""
    if not record.scores:
        return
    paper, guessed = beside(record), chance(record)
    record = replace(record, scores={**record.scores, **means(record)})
    metrics = list(dict.fromkeys(_metric(score) for score in record.scores))
    scale = record.choices.get("scale", "")
    prompts = " (prompts)" if any(name.startswith("prompts/") for name in record.counts) else ""
    grid = Grid("", "", *metrics, box=SIMPLE)
    for dataset in dict.fromkeys(score.rpartition("/")[0] for score in record.scores):
        keys = [f"{dataset}/{metric}" for metric in metrics]
        grid.add_row(dataset, f"ours: {scale}{prompts}", *(_ours(record, key) for key in keys))
        for title, known in ((PAPER, paper), (CHANCE, guessed)):
            if any(key in known for key in keys):
                grid.add_row("", title, *(number(known[k]) if k in known else "" for k in keys))
    console = Console(width=None if Console().is_terminal else 200, highlight=False)
    console.print(grid)


def number(value: float | None) -> str:
    """A score with about three digits."""
    if value is None or not isfinite(value):
        return "nan"
    return f"{value:.{1 if abs(value) >= 10 or not value else 2 if abs(value) >= 1 else 3}f}"


def listed(counts: Mapping[str, float]) -> str:
    """What a score rests on, as words."""
    return ", ".join(f"{name.replace('_', ' ')} {count:g}" for name, count in counts.items())


def _same(run: Mapping[str, str], record: Record) -> bool:
    known = record.choices | {key: str(value) for key, value in record.settings.items()}
    wanted = {key: str(value) for key, value in run.items() if key not in ("scale", "experiment")}
    return all(known.get(key) == value for key, value in wanted.items())


def _metric(score: str) -> str:
    return score.rpartition("/")[2]


def _ours(record: Record, score: str) -> str:
    if score not in record.scores:
        return ""
    value, prompts = record.scores[score], record.counts.get(f"prompts/{score}")
    text = number(value)
    return f"{text} ({prompts:g})" if prompts else text
