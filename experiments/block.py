"""Scores of our runs in the cells of a table, in blocks of one scale, budget and precision."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from math import sqrt
from statistics import fmean

from experiments.cell import Cell
from experiments.precision import precision
from experiments.provenance import machine_name
from experiments.record import Record
from experiments.table import Table
from experiments.trained import latest_training

# Prompts have lengths drawn by the seed from the stories of their task, so equal recipes differ a
# little in tokens.
SAME_BUDGET = 1.1

Selection = tuple[str, ...]


@dataclass(frozen=True)
class Score:
    """What our runs measured for one cell: one value a seed, and the runs behind each value."""

    values: tuple[float, ...]
    prompts: tuple[int, ...] = ()
    runs: tuple[tuple[Record, ...], ...] = ()

    @property
    def mean(self) -> float:
        """Mean over seeds; not a number where a seed's score was not finite."""
        return fmean(self.values)

    @property
    def deviation(self) -> float | None:
        """Sample standard deviation over seeds; `None` for one seed."""
        # statistics.stdev cannot take a value that is not a number.
        mean = self.mean
        squares = sum((value - mean) ** 2 for value in self.values)
        return sqrt(squares / (len(self.values) - 1)) if len(self.values) > 1 else None


@dataclass(frozen=True)
class Block:
    """Runs of one scale, budget, precision, protocol and, where it matters, machine."""

    scale: str
    tokens: float | None
    records: tuple[Record, ...]
    scores: Mapping[Cell, Score]
    machine: str = ""
    protocol: str = ""

    @property
    def precision(self) -> str:
        """What all runs of the block were rounded to; empty for float32."""
        return precision(self.records[0]) if self.records else ""


def asked_by(cell: Cell, keys: Sequence[str]) -> Selection:
    """What a cell asks of a run under each key of `keys`."""
    return tuple(cell.run[key] for key in keys)


def runs_of(table: Table, cell: Cell) -> list[dict[str, str]]:
    """The overrides of each run that a cell is the mean of; usually one."""
    averaged = [[(key, value) for value in values] for key, values in table.average_over.items()]
    return [{**cell.run, **dict(chosen)} for chosen in product(*averaged)]


def selection(record: Record, keys: Sequence[str]) -> Selection:
    """What a record has under each key of `keys`: a choice, or a setting where it is dotted."""
    return tuple(str((record.settings if "." in key else record.choices).get(key)) for key in keys)


def reduced_blocks(
    table: Table, keys: Sequence[str], recipe: Iterable[Record]
) -> tuple[Block, ...]:
    """The blocks beside the paper's: one a scale, a machine, a precision and a budget."""
    apart: dict[tuple[str, str, str], list[Record]] = defaultdict(list)
    for record in recipe:
        scale = record.choices.get("scale", "")
        machine = machine_name(record.machine, record.versions) if table.by_machine else ""
        apart[scale, machine, precision(record)].append(record)
    blocks = [
        fill(place[0], budget[0].counts.get("tokens"), table, keys, budget, machine=place[1])
        for place in sorted(apart)
        for budget in _budgets(table, place[0], apart[place])
    ]
    return tuple(block for block in blocks if block.scores)


def _budgets(table: Table, scale: str, records: Sequence[Record]) -> list[list[Record]]:
    """Runs by what they were trained on; a seed may change that by up to `SAME_BUDGET`."""
    # At the paper's scale the recipe says how much, or when to stop.
    if not table.by_tokens or scale in table.paper_scale:
        return [list(records)]
    # As many tokens in fewer steps are another recipe.
    alike = _alike("tokens", records, SAME_BUDGET)
    return [budget for same_tokens in alike for budget in _alike("steps", same_tokens, 1.0)]


def _alike(count: str, records: Sequence[Record], most: float) -> list[list[Record]]:
    """Runs by one of their counts, which may be `most` times another's; those with less first."""

    def of(record: Record) -> float:
        return record.counts.get(count) or 0

    groups: list[list[Record]] = []
    for record in sorted(records, key=of):
        if groups and of(record) <= most * of(groups[-1][0]):
            groups[-1].append(record)
        else:
            groups.append([record])
    return groups


def fill(
    scale: str,
    tokens: float | None,
    table: Table,
    keys: Sequence[str],
    records: Iterable[Record],
    exact: bool = False,
    machine: str = "",
) -> Block:
    """Fill cells; `exact` asks for the scale that the cell names."""
    ordered = sorted(records, key=lambda record: (record.when, record.seconds))
    by_selection: dict[Selection, list[Record]] = defaultdict(list)
    for record in ordered:
        by_selection[selection(record, keys)].append(record)
    scores: dict[Cell, Score] = {}
    used: dict[str, Record] = {}
    apart = sorted(table.average_over)
    alike = {asked: latest_training(runs, apart) for asked, runs in by_selection.items()}
    for cell in table.measurable:
        runs = [r for r in alike.get(asked_by(cell, keys), ()) if set(cell.scores) <= set(r.scores)]
        if exact:
            runs = [r for r in runs if r.choices["scale"] == cell.run.get("scale")]
        whole = _whole(table, cell, sorted(runs, key=partial(_prompts, cell)))
        if whole:
            scores[cell] = _score(cell, whole)
            used |= {r.digest: r for seed in whole for r in seed}
    return Block(scale, tokens, tuple(used.values()), scores, machine)


def _whole(table: Table, cell: Cell, records: Iterable[Record]) -> list[list[Record]]:
    """For each seed that has all runs of a cell, the last record of each of these."""
    keys = sorted(table.average_over)
    wanted = [tuple(run[key] for key in keys) for run in runs_of(table, cell)]
    by_seed: dict[int, dict[Selection, Record]] = defaultdict(dict)
    for record in records:
        by_seed[record.seed][selection(record, keys)] = record
    return [
        [found[selection] for selection in wanted]
        for found in by_seed.values()
        if set(wanted) <= set(found)
    ]


def _prompts(cell: Cell, record: Record) -> float:
    """How much a record's score of a cell rests on; sorting by it keeps the order of equals."""
    return min(record.counts.get(f"prompts/{score}") or 0 for score in cell.scores)


def _score(cell: Cell, seeds: Iterable[Sequence[Record]]) -> Score:
    values, prompts, runs = [], set(), []
    for records in seeds:
        runs.append(tuple(records))
        found = [record.scores[score] for record in records for score in cell.scores]
        values.append(fmean(float("nan") if value is None else value for value in found))
        keys = [f"prompts/{score}" for score in cell.scores]
        counts = (record.counts.get(key) for record in records for key in keys)
        prompts |= {int(count) for count in counts if count is not None}
    return Score(tuple(values), tuple(sorted(prompts)), tuple(runs))
