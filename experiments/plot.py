"""A table as a picture: ours at each scale against a column, the paper's dashed."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import cycle
from math import log2
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any, NamedTuple

from experiments.block import Block, Score
from experiments.cell import Cell
from experiments.compare import Comparison
from experiments.table import Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Distinct in grey and to colour-blind eyes; the same model has the same colour in all panels.
COLORS = (
    *("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#999999", "#000000"),
    *("#882255", "#44aa99"),
)

# The share of a panel's width that the labels of two lengths need so as not to touch.
APART = 0.13

Lines = Mapping[str, list[tuple[float, float, float]]]


class Panel(NamedTuple):
    """What one pair of axes shows: our scores, a mapping a block, and the paper's numbers."""

    title: str
    ours: list[Mapping[Cell, Score]]
    printed: Mapping[Cell, Score]


def draw(comparison: Comparison, path: Path) -> None:
    """Writes a PNG: a line for each label of the last row column, against the numeric column.

    Two row columns give a panel for each label of the first; one row column gives one panel. Where
    ours stand apart, being of a machine or a text of their own, each block of ours has a panel.

    Args:
        comparison: A table with one or two row columns and one numeric column (x), whose scores
            are drawn with their spread over seeds.
        path: Where the picture goes.
    """
    from matplotlib.figure import Figure

    table = comparison.table
    shown = panels(comparison)
    figure = Figure(figsize=(1.6 + max(5, 3.8 * len(shown)), 3.8), layout="constrained")
    colors = dict(zip(names(table, shown), cycle(COLORS), strict=False))
    grid = figure.subplots(1, len(shown), sharey=not table.apart, squeeze=False)
    for axes, panel in zip(grid[0], shown, strict=True):
        _draw_panel(axes, table, panel, colors)
        if table.apart or axes is grid[0][0]:
            axes.set_ylabel(axis(table))
    _legend(figure, colors)
    figure.suptitle("\n".join([table.title, *_key(comparison)]), fontsize="medium")
    figure.savefig(path, dpi=120, metadata={"Software": None})


def panels(comparison: Comparison) -> list[Panel]:
    """What is drawn side by side: a panel a label or a machine, as `draw` says."""
    blocks = comparison.fullest()
    table = comparison.table
    if not table.apart:
        return _by_label(table, blocks)
    paper = [panel._replace(title=f"the paper: {panel.title or 'machine not stated'}")
             for panel in _by_label(table, [])]  # fmt: skip
    return [*paper, *(Panel(_about(block), [block.scores], {}) for block in blocks)]


def names(table: Table, shown: Iterable[Panel]) -> list[str]:
    """What has a line: what we measured; all of the paper's, too, where these stand apart or alone.

    Returns:
        Labels of the last row column, in the table's order.
    """
    shown = list(shown)
    drawn = {name for panel in shown for scores in panel.ours for name in lines(table, scores)}
    if table.apart or not drawn:
        drawn |= {name for panel in shown for name in lines(table, panel.printed)}
    order = dict.fromkeys(cell.labels[table.rows[-1]] for cell in (*table.cells, *table.ours))
    return [name for name in order if name in drawn]


def axis(table: Table) -> str:
    """What the scores are, with their unit."""
    return f"{table.value} in %" if table.unit == "%" else table.unit


def _by_label(table: Table, blocks: list[Block]) -> list[Panel]:
    """A panel for each label of the first of two row columns; of one row column, one panel."""

    def panel(cell: Cell) -> str:
        return " ".join(cell.labels[column] for column in table.rows[:-1])

    return [
        Panel(
            title,
            [{c: s for c, s in block.scores.items() if panel(c) == title} for block in blocks],
            _printed(cell for cell in table.cells if panel(cell) == title),
        )
        for title in dict.fromkeys(map(panel, table.cells))
    ]


def _about(block: Block) -> str:
    """What a panel of ours alone is of."""
    facts = [block.protocol, block.scale, _seeds([block]), block.machine or block.precision]
    return fill("ours: " + ", ".join(fact for fact in facts if fact), 50)


def _draw_panel(axes: "Axes", table: Table, panel: Panel, colors: Mapping[str, str]) -> None:
    order = list(colors)
    for ours in panel.ours:
        drawn = lines(table, ours)
        spreads = any(spread for points in drawn.values() for *_, spread in points)
        for name, points in drawn.items():
            # Spreads at one length would hide each other: each model a little aside.
            aside = 2 ** (0.035 * (order.index(name) - (len(order) - 1) / 2)) if spreads else 1
            places = [x * aside for x, *_ in points]
            means = [y for _, y, _ in points]
            ends = zip(*((y - spread, y + spread) for _, y, spread in points), strict=True)
            axes.plot(places, means, color=colors[name], marker="o", ms=4, label=name)
            axes.vlines(places, *ends, color=colors[name], lw=1, alpha=0.5)
    for name, points in lines(table, panel.printed).items():
        if name in colors:
            x, y, _ = zip(*points, strict=True)
            label = name if table.apart else None
            axes.plot(x, y, color=colors[name], ls="--", lw=1, alpha=0.6, label=label)
    cells = (*table.cells, *(cell for scores in panel.ours for cell in scores))
    ticks = sorted({float(cell.labels[table.columns[0]]) for cell in cells})
    axes.set_xscale("log", base=2)
    axes.set_xticks(ticks, labels(ticks, APART * log2(ticks[-1] / ticks[0])))
    axes.set_title(panel.title, fontsize=8 if table.apart else "medium")
    axes.set_xlabel(f"{table.columns[0]} in tokens")
    if table.unit == "%":
        axes.set_ylim(-4, 104)
    elif table.higher_is_better:
        axes.set_ylim(bottom=0)
    axes.grid(alpha=0.25)


def short(length: float) -> str:
    """A length in thousands or millions where it is a round number of them."""
    for size, letter in ((2**20, "M"), (10**6, "M"), (1024, "K"), (1000, "K")):
        if length >= size and length % size == 0:
            return f"{length / size:g}{letter}"
    return f"{length:g}"


def labels(lengths: Sequence[float], apart: float) -> list[str]:
    """What is written below ascending lengths; nothing less than `apart` octaves from the last."""
    found: list[str] = []
    last = 0.0
    for length in lengths:
        touches = last and log2(length / last) < apart
        found.append("" if touches else short(length))
        last = last if touches else length
    return found


def lines(table: Table, scores: Mapping[Cell, Score]) -> Lines:
    """Label of the last row column -> its points (x, mean, deviation), from left to right."""
    found: dict[str, dict[float, tuple[float, float, float]]] = defaultdict(dict)
    for cell, score in scores.items():
        # A score of ours may stand for several cells: one of each scale of the paper's.
        x = float(cell.labels[table.columns[0]])
        found[cell.labels[table.rows[-1]]][x] = (x, score.mean, score.deviation or 0.0)
    return {name: sorted(points.values()) for name, points in found.items()}


def _printed(cells: Iterable[Cell]) -> dict[Cell, Score]:
    return {cell: Score((cell.paper,)) for cell in cells}


def _legend(figure: "Figure", order: Iterable[str]) -> None:
    """Beside all panels, of which none need have every line."""
    found: dict[str, Any] = {}
    for axes in figure.axes:
        handles, labels = axes.get_legend_handles_labels()
        found |= dict(zip(labels, handles, strict=True))
    shown = [name for name in order if name in found]
    handles = [found[name] for name in shown]
    figure.legend(handles, shown, loc="outside right center", fontsize=8, frameon=False)


def _key(comparison: Comparison) -> list[str]:
    """What solid and dashed lines are, where no panel says so."""
    if comparison.table.apart:
        return []
    blocks = comparison.fullest()
    scales = ", ".join(dict.fromkeys(block.scale or "that of the paper" for block in blocks))
    apart = ", at another scale" if any(block.scale for block in blocks) else ""
    seeds = _seeds(blocks)
    spread = seeds if seeds == "1 seed" else f"mean ± sample standard deviation of {seeds}"
    return [f"solid: ours, scale {scales}, {spread}; dashed: the paper{apart}"]


def _seeds(blocks: Iterable[Block]) -> str:
    """How many seeds the scores of blocks are of."""
    counts = {len(score.values) for block in blocks for score in block.scores.values()}
    low, high = min(counts), max(counts)
    return f"{low} to {high} seeds" if low < high else f"{low} seed{'s' if low > 1 else ''}"
