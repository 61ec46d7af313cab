"""What one run measured, beside the paper's numbers for the same model and task."""

from collections.abc import Mapping
from math import isfinite

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table as Grid

from experiments.record import Record
from experiments.table import HERE, load, names

PAPER = "paper: its full-size model"


def beside(record: Record) -> dict[str, float]:
    """Score -> the paper's number for that model and task, whatever the scale."""
    found: dict[str, float] = {}
    for table in map(load, (HERE / name for name in names())):
        # Another machine's speed is no measure of this one, nor a mean over runs of one of them.
        if table.by_machine or table.average_over:
            continue
        for cell in table.cells:
            if len(cell.scores) == 1 and cell.run and _same(cell.run, record):
                found.setdefault(cell.scores[0], cell.paper)
    return found


def show(record: Record) -> None:
    """Prints the scores as a table: data sets down, metrics across, the paper's below ours."""
    if not record.scores:
        return
    paper = beside(record)
    metrics = list(dict.fromkeys(_metric(score) for score in record.scores))
    scale = record.choices.get("scale", "")
    prompts = " (prompts)" if any(name.startswith("prompts/") for name in record.counts) else ""
    grid = Grid("", "", *metrics, box=SIMPLE)
    for dataset in dict.fromkeys(score.rpartition("/")[0] for score in record.scores):
        keys = [f"{dataset}/{metric}" for metric in metrics]
        grid.add_row(dataset, f"ours: {scale}{prompts}", *(_ours(record, key) for key in keys))
        if any(key in paper for key in keys):
            grid.add_row("", PAPER, *(number(paper[k]) if k in paper else "" for k in keys))
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
    return all(known.get(key) == str(value) for key, value in run.items() if key != "scale")


def _metric(score: str) -> str:
    return score.rpartition("/")[2]


def _ours(record: Record, score: str) -> str:
    if score not in record.scores:
        return ""
    value, prompts = record.scores[score], record.counts.get(f"prompts/{score}")
    text = number(value)
    return f"{text} ({prompts:g})" if prompts else text
