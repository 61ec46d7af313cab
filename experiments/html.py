"""All that records say as one HTML page: no network, nothing to install, opens from disk."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from experiments.block import Block, Score
from experiments.cell import CONF, Cell
from experiments.chart import COLORS, HEIGHT, WIDTH, Picture, picture
from experiments.compare import Comparison
from experiments.page import (
    Labels,
    block_rows,
    by_row,
    column_labels,
    gap_text,
    grids,
    heading,
    left_out,
    measured_text,
    numbered,
    with_columns_of,
)
from experiments.provenance import machine_name
from experiments.record import Record
from experiments.runs import core_hours, cost, one_a_run
from experiments.table import HERE, Table
from experiments.verdict import verdict

TEMPLATES = HERE / "templates"
PAGE = HERE / "report.html"


@dataclass(frozen=True)
class Entry:
    """What stands in one place of a table.

    Attributes:
        order: What its column is sorted by; not a number sorts last.
        paper: The number as printed.
        marks: Numbers of the notes on it.
        ours: Our mean, spread, seeds and prompts.
        seeds: The score of each seed.
        runs: The heads of the digests of the runs behind it.
        gap: Ours less the paper's.
        verdict: What to think of the gap.
        commands: What would fill it, where it is missing.
    """

    order: float
    paper: str = ""
    marks: tuple[int, ...] = ()
    ours: str = ""
    seeds: str = ""
    runs: str = ""
    gap: str = ""
    verdict: str = ""
    commands: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sheet:
    """One table of the page: group -> rows, each its labels and an entry or none a column."""

    title: str
    reduced: bool
    labels: tuple[str, ...]
    columns: list[tuple[Labels, str]]
    groups: dict[str, list[tuple[Labels, list[Entry | None]]]]
    remarks: list[str]


@dataclass(frozen=True)
class Section:
    """A table or figure of the paper with all that we have on it."""

    comparison: Comparison
    sheets: list[Sheet]
    notes: list[tuple[int, str]]
    picture: Picture | None
    left_out: list[str]
    commands: list[str]
    hours: float


def write_page(
    path: Path,
    comparisons: Sequence[Comparison],
    records: Sequence[Record],
    warnings: Sequence[str],
) -> None:
    """Write the page.

    Args:
        path: Where it goes.
        comparisons: The tables, in the page's order.
        records: All runs, whether a table shows them or not.
        warnings: Files that were skipped, and why.
    """
    path.write_text(render(comparisons, records, warnings), encoding="utf-8")


def render(
    comparisons: Sequence[Comparison],
    records: Sequence[Record],
    warnings: Sequence[str],
    conf: Path = CONF,
) -> str:
    """The page as text; whatever comes from a record is escaped."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    runs = one_a_run(records)
    return environment.get_template("report.html.jinja").render(
        style=(TEMPLATES / "style.css").read_text(encoding="utf-8"),
        script=(TEMPLATES / "script.js").read_text(encoding="utf-8"),
        sections=[_section(comparison, conf) for comparison in comparisons],
        claims=[(it.table, claim) for it in comparisons for claim in it.table.claims],
        runs=runs,
        hours=core_hours(runs),
        warnings=warnings,
        typed=typed,
        machine_name=machine_name,
        box=(WIDTH, HEIGHT),
        colors=COLORS,
    )


def typed(record: Record) -> str:
    """The command line of a run."""
    return shlex.join(["python", "run.py", *record.overrides])


def _section(comparison: Comparison, conf: Path) -> Section:
    paper, *reduced = grids(comparison)
    unit = f" [{comparison.table.unit}]" if comparison.table.unit else ""
    title = (
        f"The paper's numbers{', and ours at its scale' if comparison.paper.scores else ''}{unit}"
    )
    notes = [(number, note.text) for number, note in numbered(comparison.table)]
    return Section(
        comparison=comparison,
        sheets=[
            _paper_sheet(comparison, title, paper.remarks[len(notes) :], conf),
            *(
                _reduced_sheet(comparison, block, grid.title, grid.remarks)
                for block, grid in zip(comparison.reduced, reduced, strict=True)
            ),
        ],
        notes=notes,
        picture=picture(comparison),
        left_out=left_out(comparison),
        commands=comparison.commands(conf),
        hours=cost(comparison),
    )


def _paper_sheet(comparison: Comparison, title: str, remarks: list[str], conf: Path) -> Sheet:
    table, ours = comparison.table, comparison.paper.scores
    missing = {cell for cell in comparison.missing() if cell.runnable(conf)}
    notes = numbered(table)

    def entry(cell: Cell) -> Entry:
        marks = tuple(number for number, note in notes if note.about(cell))
        printed = f"{cell.paper:.{table.decimals}f}" if isfinite(cell.paper) else ""
        commands = _commands(comparison, cell, conf) if cell in missing else ()
        if cell not in ours:
            return Entry(cell.paper, printed, marks, commands=commands)
        return replace(
            _entry(table, ours[cell]),
            paper=printed,
            marks=marks,
            gap=gap_text(table, cell, ours[cell]),
            verdict=verdict(table, cell, ours[cell]),
        )

    cells = (*table.cells, *(cell for cell in table.ours if cell in ours))
    entries = {cell: entry(cell) for cell in cells}
    return _sheet(table, entries, title, remarks, table.rows)


def _reduced_sheet(comparison: Comparison, block: Block, title: str, remarks: list[str]) -> Sheet:
    table = comparison.table.by(block.protocol)
    entries = {cell: _entry(table, score) for cell, score in block.scores.items()}
    return _sheet(table, entries, title, remarks, block_rows(table), reduced=True)


def _entry(table: Table, score: Score) -> Entry:
    seeds = zip(score.runs, score.values, strict=True)
    return Entry(
        score.mean,
        ours=measured_text(table, score),
        seeds=", ".join(f"seed {r[0].seed}: {value:.{table.decimals}f}" for r, value in seeds),
        runs=" ".join(run.digest[:12] for runs in score.runs for run in runs),
    )


def _sheet(
    table: Table,
    entries: Mapping[Cell, Entry],
    title: str,
    remarks: list[str],
    rows: tuple[str, ...],
    reduced: bool = False,
) -> Sheet:
    labels = column_labels(with_columns_of(table, entries))
    # Of several row labels the first is a heading over its rows, which are sorted under it.
    heads = 1 if len(rows) > 1 else 0
    groups: dict[str, list[tuple[Labels, list[Entry | None]]]] = {}
    for row, cells in by_row(entries, rows, table.columns).items():
        line = [entries[cells[label]] if label in cells else None for label in labels]
        groups.setdefault(" ".join(row[:heads]), []).append((row[heads:], line))
    columns = [(label, table.arrow(label)) for label in labels]
    names = tuple(map(heading, rows[heads:]))
    return Sheet(title, reduced, names, columns, groups, remarks)


def _commands(comparison: Comparison, cell: Cell, conf: Path) -> tuple[str, ...]:
    """What is missing of a table that has no other cell."""
    alone = replace(comparison.table, cells=(cell,), ours=())
    return tuple(replace(comparison, table=alone).commands(conf))
