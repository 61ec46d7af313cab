"""The front page's small tables: a few scores of each of the paper's, and what they cost."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from experiments.block import Block
from experiments.cell import Cell
from experiments.compare import Comparison
from experiments.page import Grid, about, legend, measured_text, rounded
from experiments.record import Record
from experiments.report import markdown_of
from experiments.runs import core_hours, cost, one_a_run
from experiments.table import Table


def front(comparisons: Sequence[Comparison], records: Sequence[Record]) -> str:
    """The tables that have a summary, as Markdown, before a line on all runs."""
    tables = [markdown_of(small(it)) for it in comparisons if it.table.summary and it.fullest()]
    runs = one_a_run(records)
    total = f"All runs: {len(runs)}, of {core_hours(runs):.0f} core hours."
    return "\n\n".join([*tables, total])


def small(comparison: Comparison) -> Grid:
    """A line a model, and a column for each measured score of the summary, block after block."""
    table, blocks = comparison.table, comparison.fullest()
    lines: dict[str, dict[str, str]] = defaultdict(dict)
    columns: dict[str, None] = {}
    remarks = []
    for number, block in enumerate(blocks, start=1):
        mark = f"[{number}]" if len(blocks) > 1 else ""
        own = table.by(block.protocol)
        chosen = list(_chosen(own, block))
        for cell in chosen:
            columns[column := f"{_heading(own, cell)} {mark}".strip()] = None
            lines[_row(own, cell)][column] = _text(own, block, cell)
        scores = {cell: block.scores[cell] for cell in chosen}
        what = about(block) if block.scale else "At the paper's scale, the printed number behind"
        remark = f"{mark} {what}; {legend(scores.values())}."
        other = [] if block.scale else rounded(own, scores)
        remarks.append(" ".join([remark, *other]).strip())
    order = dict.fromkeys(_row(table, cell) for cell in (*table.cells, *table.ours))
    rows = [[name, *(lines[name].get(it, "") for it in columns)] for name in order if name in lines]
    link = f"[The whole table](experiments/{table.name}/README.md)"
    remarks.append(f"{link}; its runs: {cost(comparison):.1f} core hours.")
    return Grid(table.title, ["", *columns], rows, remarks)


def _chosen(table: Table, block: Block) -> Iterator[Cell]:
    """The cells of a block that the summary names."""
    for cell in block.scores:
        if all(cell.labels[column] in labels for column, labels in table.summary.items()):
            yield cell


def _row(table: Table, cell: Cell) -> str:
    return cell.labels[table.rows[-1]]


def _heading(table: Table, cell: Cell) -> str:
    """All labels but the row's; a scale is that of the block."""
    apart = [cell.labels[column] for column in table.rows[:-1] if column != "scale"]
    column = table.column(cell)
    return " ".join([*apart, *column, table.arrow(column)]).strip()


def _text(table: Table, block: Block, cell: Cell) -> str:
    ours = measured_text(table, block.scores[cell])
    return ours if block.scale else f"{ours} / {cell.paper:.{table.decimals}f}"
