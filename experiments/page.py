"""How a comparison reads: grids of text, the same for a terminal and for Markdown."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite

from experiments.block import Block, Score
from experiments.cell import Cell, Note
from experiments.compare import Comparison
from experiments.precision import precision
from experiments.recipe import recipe_changes
from experiments.record import Record
from experiments.table import Table

# Groups of the configuration that no title needs: the rows name the first two.
_UNTOLD = {"model", "task", "scale", "hardware", "logger", "experiment"}

Labels = tuple[str, ...]


@dataclass(frozen=True)
class Grid:
    """A titled rectangle of text and the remarks under it; `labels` columns name a row."""

    title: str
    header: list[str]
    lines: list[list[str]]
    remarks: list[str]
    labels: int = 1


def grids(comparison: Comparison) -> list[Grid]:
    """The paper's numbers with ours at its scale, then one grid for each reduced scale."""
    table = comparison.table
    reduced = [_reduced_grid(table.by(block.protocol), block) for block in comparison.reduced]
    return [_paper_grid(comparison), *reduced]


def left_out(comparison: Comparison) -> list[str]:
    """One line each on the runs that no grid shows."""
    table = comparison.table
    changed = [
        f"{record.choices.get('model')} with {' '.join(recipe_changes(table, record))}"
        for record in comparison.changed
    ]
    failed = [
        f"{record.choices.get('model')}: {record.error.partition(chr(10))[0] or 'no reason given'}"
        for record in comparison.failed
    ]
    own = {k for it in (table, *table.protocols) for k in (*it.selects, *it.average_over)}
    partial = [
        " ".join([str(record.choices.get("model")), *_typed(record, sorted(own))])
        for record in comparison.partial
    ]
    kinds = (
        ("Changed recipes", changed),
        ("Failed runs", failed),
        ("Runs of a mean that lacks others", partial),
    )
    return [f"{kind}, not shown ({len(runs)}): {_counted(runs)}" for kind, runs in kinds if runs]


def _typed(record: Record, keys: Iterable[str]) -> list[str]:
    return [f"{key}={record.settings[key]}" for key in keys if key in record.settings]


def _counted(texts: Sequence[str]) -> str:
    times = Counter(texts).items()
    return "; ".join(text if count == 1 else f"{text} ({count} times)" for text, count in times)


def _paper_grid(comparison: Comparison) -> Grid:
    table, ours = comparison.table, comparison.paper.scores
    title = f"{table.title} [{table.unit}]" if table.unit else table.title
    header = [*map(heading, table.rows), *([""] if ours else []), *_columns(table)]
    printed = _printed(table)
    measured = {cell: measured_text(table, score) for cell, score in ours.items()}
    gap = {cell: gap_text(table, cell, ours[cell]) for cell in ours if cell in printed}
    lines = []
    shown = (*table.cells, *(cell for cell in table.ours if cell in ours))
    for row, cells in by_row(shown, table.rows, table.columns).items():
        kinds = {"paper": printed, "ours": measured, "difference": gap}
        for kind, texts in kinds.items():
            if any(cell in texts for cell in cells.values()):
                spread = _spread(table, cells, texts)
                lines.append([*row, *([kind] if ours else []), *spread])
    remarks = [f"[{i}] {note.text}" if note.at else note.text for i, note in numbered(table)]
    budget = _budget(comparison.paper.records)
    remarks += [f"Ours: {', '.join([*budget, legend(ours.values())])}"] if ours else []
    remarks += rounded(table, ours)
    labels = len(table.rows) + bool(ours)
    return Grid(title, header, lines, [*remarks, *_chance(table)], labels)


def rounded(table: Table, scores: Mapping[Cell, Score]) -> list[str]:
    """Which scores are of runs in another precision than float32, a line for each."""
    own = [column for column in (*table.rows, *table.columns) if column in table.selects]
    found: dict[str, dict[str, None]] = {}
    for cell, score in scores.items():
        at = " ".join(cell.labels[column] for column in own)
        found.setdefault(precision(score.runs[0][0]), {})[at] = None
    every = "" if len(found) > 1 else " throughout"
    return [
        f"{other[0].upper()}{other[1:]}{every or ': ' + ', '.join(at)}."
        for other, at in found.items()
        if other
    ]


def _reduced_grid(table: Table, block: Block) -> Grid:
    rows = block_rows(table)
    measured = {cell: measured_text(table, score) for cell, score in block.scores.items()}
    table = with_columns_of(table, block.scores)
    found = by_row(block.scores, rows, table.columns)
    lines = [[*row, *_spread(table, cells, measured)] for row, cells in found.items()]
    remarks = [f"Ours: {legend(block.scores.values())}", *_chance(table)]
    header = [*map(heading, rows), *_columns(table)]
    return Grid(about(block), header, lines, remarks, len(rows))


def block_rows(table: Table) -> tuple[str, ...]:
    """The columns of labels that name a row of a block, whose title says the scale."""
    return tuple(column for column in table.rows if column != "scale")


def about(block: Block) -> str:
    """What the scores of a block are of: protocol, scale, budget and, if it matters, machine."""
    # A machine's name says what it computed in, too.
    where = block.machine or block.precision
    known = [block.scale, *_budget(block.records), where]
    return f"{block.protocol or 'Reduced scale'}: {', '.join(filter(None, known))}"


def heading(column: str) -> str:
    """What stands above a column of labels: the last part of the override it is named after."""
    return column.rpartition(".")[2]


def gap_text(table: Table, cell: Cell, score: Score) -> str:
    """Ours less the paper's, with its sign; empty where it is not finite."""
    gap = score.mean - cell.paper
    return f"{gap:+z.{table.decimals}f}" if isfinite(gap) else ""


def legend(scores: Iterable[Score]) -> str:
    """How to read scores of ours."""
    scores = list(scores)
    several = any(len(score.values) > 1 for score in scores)
    value = "mean ± sample standard deviation over seeds" if several else "one seed each"
    prompts = any(score.prompts for score in scores)
    return f"{value}; in brackets {'seeds x prompts a score' if prompts else 'the number of seeds'}"


def _chance(table: Table) -> list[str]:
    """What guessing scores in each column, as a remark."""
    guessed = {}
    for cell in table.cells:
        if (value := table.guessed(cell)) is not None:
            label = " ".join(cell.labels[column] for column in table.columns)
            guessed[label] = f"{label} {value:.{table.decimals}f}"
    return [f"Chance: {', '.join(guessed.values())}."] if guessed else []


def by_row(
    cells: Iterable[Cell], rows: Sequence[str], columns: Sequence[str]
) -> dict[Labels, dict[Labels, Cell]]:
    """Row -> column -> cell; rows that share their first label stand together."""
    found: dict[Labels, dict[Labels, Cell]] = {}
    for cell in cells:
        row = tuple(cell.labels[column] for column in rows)
        found.setdefault(row, {})[tuple(cell.labels[column] for column in columns)] = cell
    groups = list(dict.fromkeys(row[0] for row in found))
    return dict(sorted(found.items(), key=lambda item: groups.index(item[0][0])))


def column_labels(table: Table) -> list[Labels]:
    """What stands above each column, in the paper's order."""
    return list(dict.fromkeys(table.column(cell) for cell in table.cells))


def with_columns_of(table: Table, cells: Iterable[Cell]) -> Table:
    """The table with the columns alone that the cells are in, those past the paper's among them."""
    filled = set(map(table.column, cells))
    every = (*table.cells, *table.ours, *table.beyond)
    return replace(table, cells=tuple(cell for cell in every if table.column(cell) in filled))


def _columns(table: Table) -> list[str]:
    return [f"{' '.join(label)} {table.arrow(label)}".strip() for label in column_labels(table)]


def _spread(table: Table, cells: Mapping[Labels, Cell], text: Mapping[Cell, str]) -> list[str]:
    found = (cells.get(label) for label in column_labels(table))
    return [text.get(cell, "") if cell else "" for cell in found]


def numbered(table: Table) -> list[tuple[int, Note]]:
    """Notes with the numbers of their marks; those on the whole table come first and have none."""
    marked = [note for note in table.notes if any(note.about(cell) for cell in table.cells)]
    return [(0, note) for note in table.notes if not note.at] + list(enumerate(marked, start=1))


def _printed(table: Table) -> dict[Cell, str]:
    notes = numbered(table)
    printed = {}
    for cell in table.cells:
        marks = [f" [{number}]" for number, note in notes if note.about(cell)]
        printed[cell] = f"{cell.paper:.{table.decimals}f}{''.join(marks)}"
    return printed


def measured_text(table: Table, score: Score) -> str:
    """Mean, spread, seeds and prompts, as the legend says."""
    spread = "" if score.deviation is None else f" ± {score.deviation:.{table.decimals}f}"
    prompts = f" x {_range(score.prompts)}" if score.prompts else ""
    return f"{score.mean:.{table.decimals}f}{spread} ({len(score.values)}{prompts})"


def _budget(records: Sequence[Record]) -> list[str]:
    """What is known of the data and the effort behind runs, as short phrases."""
    phrases = []
    for count in ("tokens", "steps", "parameters"):
        known = [value for r in records if (value := r.counts.get(count)) is not None]
        phrases += [f"{_range(known)} {count}"] if known else []
    groups = {(g, o) for r in records for g, o in r.choices.items() if g not in _UNTOLD}
    return phrases + [f"{group} {option}" for group, option in sorted(groups)]


def _range(values: Sequence[float]) -> str:
    low, high = _human(min(values)), _human(max(values))
    return low if low == high else f"{low}-{high}"


def _human(value: float) -> str:
    if value >= 10_000:
        for size, letter in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
            if value >= size:
                return f"{value / size:.1f}{letter}"
    return f"{value:,g}"
