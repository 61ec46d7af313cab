"""What one run measured, beside the paper's numbers for the same model and task."""

from collections.abc import Mapping

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table as Grid

from experiments.record import Record
from experiments.table import HERE, load, names

PAPER = "paper: its full-size model"


def beside(record: Record) -> dict[str, float]:
    """Score -> the paper's number for that model and task, whatever the scale."""
    found: dict[str, float] = {}
    for name in names():
        for cell in load(HERE / name).cells:
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
    grid = Grid("", "", *metrics, box=SIMPLE)
    for dataset in dict.fromkeys(score.rpartition("/")[0] for score in record.scores):
        keys = [f"{dataset}/{metric}" for metric in metrics]
        grid.add_row(dataset, f"ours: {scale} (prompts)", *(_ours(record, key) for key in keys))
        if any(key in paper for key in keys):
            grid.add_row("", PAPER, *(f"{paper[k]:.1f}" if k in paper else "" for k in keys))
    console = Console(width=None if Console().is_terminal else 200, highlight=False)
    console.print(grid)


def _same(run: Mapping[str, str], record: Record) -> bool:
    known = record.choices | {key: str(value) for key, value in record.settings.items()}
    return all(known.get(key) == str(value) for key, value in run.items() if key != "scale")


def _metric(score: str) -> str:
    return score.rpartition("/")[2]


def _ours(record: Record, score: str) -> str:
    if score not in record.scores:
        return ""
    value, prompts = record.scores[score], record.counts.get(f"prompts/{score}")
    text = "nan" if value is None else f"{value:.1f}"
    return f"{text} ({prompts:g})" if prompts else text
