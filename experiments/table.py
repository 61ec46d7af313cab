"""A table of the paper: its printed numbers, and the run of ours that each one calls for.

A folder holds `paper.csv`, the numbers as printed, and `table.yaml`, how to read them:

    title           what the table is called
    value           the column of paper.csv that holds the number
    unit, decimals  how numbers are shown
    edition         rows of the `version` column that are shown: v1 unless said otherwise
    rows, columns   columns of paper.csv that make the rows and the columns of the page
    higher_is_better    true or false, or one of them for each label of a column
    score           template of a record's score, e.g. "{dataset}/{length}"
    means           scores that are the mean of others; of none where nobody knows of which
    chance          score -> what guessing scores; shown below the table and beside a run
    run             overrides of every run; `scale` is the one that missing cells ask for
    selects         column -> label -> value of the override that the column is named after. A
                    label that is not listed has no run of ours; no labels at all: as printed
    average_over    override -> values: a score is the mean of one run with each of them, and is
                    missing as long as one of these runs is
    paper_scale     options of `scale` that are the paper's; every other scale stands apart
    recipes         options of `experiment` that leave the recipe what it is
    neutral         overrides that only change how a trained model is evaluated
    requires        overrides without which a run is none of this table, whatever they say
    ours            column -> labels of rows or columns that we measure and the paper does not have
    beyond          column -> labels of further columns; shown where measured, and never missing
    by_machine      whether scores depend on the machine: runs of each stand apart, and the
                    paper's numbers, whose machine is not stated, beside none of them
    by_tokens       whether runs of another number of training tokens or steps stand apart: yes,
                    unless the table's data sets are of unlike sizes
    summary         column -> labels: the scores that the front page shows
    picture         file name of a plot of the scores against the one, numeric column
    protocols       what another protocol is called -> what takes the place of the keys above. Its
                    runs stand in blocks of their own, beside no printed number
    notes           text, and the labels of the cells it is about (`at`), if not the whole table
    claims          what the paper says of these numbers (`claim`), what ours say (`evidence`), and
                    the `verdict`, one of VERDICTS
"""

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

import yaml

from experiments.cell import VERDICTS, Cell, Claim, Note

HERE = Path(__file__).parent


class TableError(ValueError):
    """A table that cannot be read; the message names its folder and the reason."""


@dataclass(frozen=True)
class Table:
    """A table or figure of the paper; the module's docstring explains the fields."""

    name: str
    title: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    cells: tuple[Cell, ...]
    unit: str
    decimals: int
    higher_is_better: bool | Mapping[str, bool]
    selects: frozenset[str]
    paper_scale: frozenset[str]
    recipes: frozenset[str]
    neutral: frozenset[str]
    requires: frozenset[str]
    notes: tuple[Note, ...]
    claims: tuple[Claim, ...]
    value: str
    average_over: Mapping[str, tuple[str, ...]]
    picture: str = ""
    summary: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    ours: tuple[Cell, ...] = ()
    beyond: tuple[Cell, ...] = ()
    by_machine: bool = False
    by_tokens: bool = True
    protocols: tuple["Table", ...] = ()
    chance: Mapping[str, float] = field(default_factory=dict)

    @property
    def apart(self) -> bool:
        """Whether ours are drawn beside the paper's and not among them: other machines or texts."""
        return self.by_machine or bool(self.protocols)

    @property
    def measurable(self) -> tuple[Cell, ...]:
        """Cells that a run of ours could fill."""
        return (*self.wanted, *(cell for cell in self.beyond if cell.run))

    @property
    def wanted(self) -> tuple[Cell, ...]:
        """Of these the ones that are missing until a run fills them."""
        return tuple(cell for cell in (*self.cells, *self.ours) if cell.run)

    def by(self, protocol: str) -> "Table":
        """The table by the protocol of that title; itself where none is called so."""
        return next((it for it in self.protocols if it.title == protocol), self)

    def column(self, cell: Cell) -> tuple[str, ...]:
        """What stands above a cell."""
        return tuple(cell.labels[name] for name in self.columns)

    def guessed(self, cell: Cell) -> float | None:
        """What guessing scores in a cell; None where nobody says."""
        known = [self.chance[score] for score in cell.scores if score in self.chance]
        return fmean(known) if known and len(known) == len(cell.scores) else None

    def arrow(self, column: tuple[str, ...]) -> str:
        """Which way is better in a column of the page: up, down, or empty where it is mixed."""
        better = self.higher_is_better
        if not isinstance(better, bool):
            found = [flag for label, flag in better.items() if label in column]
            return "" if not found else "↑" if found[0] else "↓"
        return "↑" if better else "↓"


def names(root: Path = HERE) -> list[str]:
    """The folders that hold a table: those of the paper first, extras last."""
    found = (path.parent.name for path in root.glob("*/table.yaml"))
    return sorted(found, key=lambda name: (not name.startswith("table"), name[:1] != "f", name))


def selecting(root: Path = HERE) -> set[str]:
    """The dotted settings, e.g. `model.memory.depth`, by which some table tells runs apart."""
    loaded = [load(root / name) for name in names(root)]
    tables = [table for it in loaded for table in (it, *it.protocols)]
    return {key for it in tables for key in (*it.selects, *it.average_over) if "." in key}


def load(folder: Path, edition: str | None = None) -> Table:
    """Read a table.

    Args:
        folder: Holds `table.yaml` and `paper.csv`.
        edition: Which version of the paper to show instead of the table's own.

    Raises:
        TableError: If a file is missing, or a key or a column is unknown.
    """
    try:
        spec = yaml.safe_load((folder / "table.yaml").read_text(encoding="utf-8"))
        with (folder / "paper.csv").open(encoding="utf-8", newline="") as file:
            printed = list(csv.DictReader(file))
        return _table(folder.name, spec, printed, edition)
    except (OSError, KeyError, TypeError, ValueError, yaml.YAMLError) as error:
        raise TableError(f"{folder}: {error!r}") from error


def _table(
    name: str, spec: dict[str, Any], printed: list[dict[str, str]], edition: str | None
) -> Table:
    protocols = _protocols(name, spec, printed, edition)
    value, score, means = spec.pop("value"), spec.pop("score", ""), spec.pop("means", {})
    own, averaged = spec.pop("edition", "v1"), spec.pop("average_over", {})
    summary = spec.pop("summary", {})
    run, selects = spec.pop("run", {}), spec.pop("selects", {})
    edition = edition or own
    shown = [row for row in printed if row.get("version", edition) == edition]

    def cell(row: Mapping[str, str]) -> Cell:
        name = _name(score, row)
        scores = tuple(means.get(name, [name] if name else []))
        overrides = _overrides(run, selects, row) if scores else {}
        labels = {column: label for column, label in row.items() if column != value}
        return Cell(labels, float(row[value]), scores, overrides, name)

    def added(rows: list[dict[str, str]], labels: dict[str, list[Any]]) -> list[dict[str, str]]:
        return [
            row | {column: str(label), value: "nan"}
            for column, several in labels.items()
            for label in several
            for row in _distinct(rows, {column, value})
        ]

    ours = added(shown, spec.pop("ours", {}))
    beyond = added([*shown, *ours], spec.pop("beyond", {}))
    paper_scale = frozenset(spec.pop("paper_scale", ()))
    notes = tuple(Note(n["text"], _strings(n.get("at", {}))) for n in spec.pop("notes", ()))
    claims = tuple(Claim(**_strings(claim)) for claim in spec.pop("claims", ()))
    if odd := {claim.verdict for claim in claims} - set(VERDICTS):
        raise ValueError(f"a verdict of {sorted(odd)}: say one of {', '.join(VERDICTS)}")
    if len(paper_scale) > 1 and "scale" not in selects:
        raise ValueError("several paper scales, and no column that tells them apart")
    return Table(
        name=name,
        rows=tuple(spec.pop("rows")),
        columns=tuple(spec.pop("columns")),
        cells=tuple(cell(row) for row in shown),
        ours=tuple(cell(row) for row in ours),
        beyond=tuple(cell(row) for row in beyond),
        selects=frozenset({*run, *selects}),
        paper_scale=paper_scale,
        recipes=frozenset(spec.pop("recipes", ())),
        neutral=frozenset(spec.pop("neutral", ())),
        requires=frozenset(spec.pop("requires", ())),
        notes=notes,
        claims=claims,
        value=value,
        average_over=_labels(averaged),
        summary=_labels(summary),
        protocols=protocols,
        **spec,
    )


def _protocols(
    name: str, spec: dict[str, Any], printed: list[dict[str, str]], edition: str | None
) -> tuple[Table, ...]:
    """The same table by other protocols, which the printed numbers are not of."""
    blank = [row | {spec["value"]: "nan"} for row in printed]
    changes: dict[str, dict[str, Any]] = spec.pop("protocols", {})
    return tuple(
        _table(name, {**spec, **it, "title": title}, blank, edition)
        for title, it in changes.items()
    )


def _distinct(rows: list[dict[str, str]], without: set[str]) -> list[dict[str, str]]:
    """What rows say in the other columns, each combination once."""
    found = [{column: row[column] for column in row if column not in without} for row in rows]
    return [row for index, row in enumerate(found) if row not in found[:index]]


def _name(template: str, row: Mapping[str, str]) -> str:
    return re.sub(r"\{([^}]+)\}", lambda match: row[match[1]], template)


def _overrides(
    run: dict[str, Any], selects: dict[str, dict[str, Any] | None], row: Mapping[str, str]
) -> dict[str, str]:
    """The run that fills a cell, model first; empty where a label has no run of ours."""
    chosen: dict[str, str] = {}
    for column, options in selects.items():
        values = {row[column]: row[column]} if options is None else _strings(options)
        if row[column] not in values:
            return {}
        chosen[column] = values[row[column]]
    overrides = chosen | _strings(run)
    order = ["model", "task", "scale"]
    return dict(sorted(overrides.items(), key=lambda item: [*order, item[0]].index(item[0])))


def _labels(mapping: dict[str, list[Any]]) -> dict[str, tuple[str, ...]]:
    return {key: tuple(map(str, values)) for key, values in mapping.items()}


def _strings(mapping: dict[Any, Any]) -> dict[str, str]:
    return {str(key): str(value) for key, value in mapping.items()}
