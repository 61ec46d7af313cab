"""A table as a picture: ours at each scale against a column, the paper's dashed."""

from collections import defaultdict
from collections.abc import Mapping
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.compare import Block, Comparison, Score
from experiments.table import Cell, Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Distinct in grey and to colour-blind eyes; the same model has the same colour in all panels.
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#999999", "#000000")

Lines = Mapping[str, list[tuple[float, float, float]]]


def draw(comparison: Comparison, path: Path) -> None:
    """Writes a PNG: one panel for each label of the table's first row column.

    Args:
        comparison: A table with two row columns (panels, lines) and one numeric column (x), whose
            reduced-scale scores are drawn with their spread over seeds.
        path: Where the picture goes.
    """
    from matplotlib.figure import Figure

    table = comparison.table
    panels = list(dict.fromkeys(cell.labels[table.rows[0]] for cell in table.cells))
    figure = Figure(figsize=(4 * len(panels), 3.6), layout="constrained")
    blocks = [block for block in (comparison.paper, *comparison.reduced) if block.scores]
    names = dict.fromkeys(c.labels[table.rows[1]] for b in blocks for c in b.scores)
    colors = dict(zip(names, cycle(COLORS), strict=False))
    grid = figure.subplots(1, len(panels), sharey=True, squeeze=False)
    for axes, panel in zip(grid[0], panels, strict=True):
        _panel(axes, table, panel, blocks, colors)
    figure.axes[0].set_ylabel(f"{table.value} ({table.unit})")
    figure.axes[-1].legend(fontsize=7, frameon=False)
    figure.suptitle(f"{table.title}: ours at {_scales(blocks)}; dashed: the paper, other scale")
    figure.savefig(path, dpi=120, metadata={"Software": None})


def _panel(
    axes: "Axes", table: Table, panel: str, blocks: list[Block], colors: Mapping[str, str]
) -> None:
    for block in blocks:
        ours = {c: s for c, s in block.scores.items() if c.labels[table.rows[0]] == panel}
        for name, points in _lines(table, ours).items():
            x, y, spread = zip(*points, strict=True)
            axes.errorbar(x, y, spread, color=colors[name], marker="o", ms=4, label=name, capsize=2)
    printed = {c: Score((c.paper,)) for c in table.cells if c.labels[table.rows[0]] == panel}
    for name, points in _lines(table, printed).items():
        if name in colors:
            x, y, _ = zip(*points, strict=True)
            axes.plot(x, y, color=colors[name], linestyle="--", linewidth=1, alpha=0.6)
    ticks = sorted({float(cell.labels[table.columns[0]]) for cell in table.cells})
    axes.set_xscale("log", base=2)
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set(title=panel, xlabel=table.columns[0], ylim=(-4, 104))
    axes.grid(alpha=0.25)


def _lines(table: Table, scores: Mapping[Cell, Score]) -> Lines:
    found: dict[str, list[tuple[float, float, float]]] = defaultdict(list)
    for cell, score in scores.items():
        x = float(cell.labels[table.columns[0]])
        found[cell.labels[table.rows[1]]].append((x, score.mean, score.deviation or 0.0))
    return {name: sorted(points) for name, points in found.items()}


def _scales(blocks: list[Block]) -> str:
    return ", ".join(dict.fromkeys(block.scale or "paper's scale" for block in blocks))
