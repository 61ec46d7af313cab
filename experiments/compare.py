"""Ours beside theirs: which record fills which cell, at the paper's scale or apart from it."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from math import sqrt
from pathlib import Path
from statistics import fmean

from experiments.provenance import machine_name
from experiments.record import FINISHED, Record
from experiments.table import CONF, Cell, Table, command

# Where a run happens and what it leaves behind; `hardware` changes speed, not the mathematics.
SURROUNDINGS = frozenset(
    {"seed", "hardware", "logger", "hydra", "output_dir", "records", "name", "resume", "rerun"}
    | {"checkpoint_every", "evaluate_only"}
)

# Prompts have lengths drawn by the seed, so equal recipes differ a little in tokens.
SAME_BUDGET = 1.05

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
    """Runs of one scale, one budget, one protocol and, where it matters, one machine."""

    scale: str
    tokens: float | None
    records: tuple[Record, ...]
    scores: Mapping[Cell, Score]
    machine: str = ""
    protocol: str = ""


@dataclass(frozen=True)
class Comparison:
    """A table joined with the records that are about it.

    Attributes:
        paper: Cells measured at the paper's scale.
        reduced: Every other scale and budget, each apart; and those of the other protocols.
        changed: Runs whose overrides left the recipe; shown nowhere as a score.
        failed: Runs that did not finish; shown nowhere as a score.
        recipe: Runs that finished and kept the recipe; what they lack for a cell is missing.
    """

    table: Table
    paper: Block
    reduced: tuple[Block, ...]
    changed: tuple[Record, ...]
    failed: tuple[Record, ...]
    recipe: tuple[Record, ...] = ()

    def missing(self) -> list[Cell]:
        """Cells that a run of ours could fill, and that none at the scale they ask for does."""
        blocks = (self.paper, *self.reduced)
        measured = {(cell, block.scale) for block in blocks for cell in block.scores}
        return [
            cell
            for cell in self.table.measurable
            if cell not in self.paper.scores and (cell, cell.run.get("scale")) not in measured
        ]

    def apart(self) -> int:
        """How many scores were measured at a reduced scale, whatever rows would share them."""
        cells = (cell for block in self.reduced for cell in block.scores)
        keys = sorted(self.table.selects - {"scale"})
        return len({(_wanted(cell, keys), cell.scores) for cell in cells})

    def commands(self, conf: Path = CONF) -> list[str]:
        """The runs that would fill the missing cells, each once, where `conf` can run them."""
        runs = (run for cell in self.missing() if cell.runnable(conf) for run in self._absent(cell))
        return list(dict.fromkeys(runs))

    def _absent(self, cell: Cell) -> Iterator[str]:
        """The commands for what a cell averages over, as far as seed 0 has not run them."""
        for run in _runs(self.table, cell):
            keys = sorted(run)
            there = (r for r in self.recipe if r.seed == 0 and set(cell.scores) <= set(r.scores))
            if tuple(run[key] for key in keys) not in {selection(r, keys) for r in there}:
                yield command(run)


def compare(table: Table, records: Iterable[Record]) -> Comparison:
    """Join a table with records.

    Of several finished records with the same cell, scale, budget and seed the one with the most
    prompts counts, and of these the one that started last (of one run written twice, the longer);
    different seeds give mean and deviation.
    """
    records = list(records)
    apart = [compare(protocol, records) for protocol in table.protocols]
    elsewhere = {r.digest for it in apart for r in (*it.recipe, *it.changed, *it.failed)}
    # What one protocol has as a changed recipe may be the recipe of another.
    kept = {r.digest for it in apart for r in it.recipe}
    keys = sorted(table.selects - {"scale"})
    wanted = {_wanted(cell, keys) for cell in table.measurable}
    relevant = [
        record
        for record in records
        if selection(record, keys) in wanted and record.digest not in elsewhere
    ]
    finished = [record for record in relevant if record.status == FINISHED]
    recipe = [record for record in finished if not recipe_changes(table, record)]
    at_scale = [record for record in recipe if record.choices.get("scale") in table.paper_scale]
    return Comparison(
        table=table,
        paper=_block("", None, table, keys, at_scale, exact=True),
        reduced=_reduced(table, keys, recipe)
        + tuple(replace(b, protocol=it.table.title) for it in apart for b in it.reduced),
        changed=_once(
            *(record for record in finished if recipe_changes(table, record)),
            *(r for it in apart for r in it.changed if r.digest not in kept),
        ),
        failed=_once(
            *(record for record in relevant if record.status != FINISHED),
            *(record for it in apart for record in it.failed),
        ),
        recipe=tuple(recipe),
    )


def _once(*records: Record) -> tuple[Record, ...]:
    return tuple({record.digest: record for record in records}.values())


def recipe_changes(table: Table, record: Record) -> list[str]:
    """The overrides of a record that make it another recipe than the table's."""
    return [override for override in record.overrides if not _harmless(table, override)]


def _harmless(table: Table, override: str) -> bool:
    key, _, value = override.lstrip("+~").partition("=")
    if key == "experiment":
        return value in {table.name, *table.recipes}
    allowed = {"model", "task", "scale", *table.selects, *table.average_over}
    neutral = any(key == name or key.startswith(f"{name}.") for name in table.neutral)
    return key in allowed or neutral or key.partition(".")[0] in SURROUNDINGS


def _wanted(cell: Cell, keys: Sequence[str]) -> Selection:
    return tuple(cell.run[key] for key in keys)


def _runs(table: Table, cell: Cell) -> list[dict[str, str]]:
    """The overrides of each run that a cell is the mean of; usually one."""
    averaged = [[(key, value) for value in values] for key, values in table.average_over.items()]
    return [{**cell.run, **dict(chosen)} for chosen in product(*averaged)]


def selection(record: Record, keys: Sequence[str]) -> Selection:
    """What a record has under each key of `keys`: a choice, or a setting where it is dotted."""
    return tuple(str((record.settings if "." in key else record.choices).get(key)) for key in keys)


def _reduced(table: Table, keys: Sequence[str], recipe: Iterable[Record]) -> tuple[Block, ...]:
    apart: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in recipe:
        scale = record.choices.get("scale", "")
        machine = machine_name(record.machine, record.versions) if table.by_machine else ""
        if scale not in table.paper_scale:
            apart[scale, machine].append(record)
    blocks = [
        _block(scale, budget[0].counts.get("tokens"), table, keys, budget, machine=machine)
        for scale, machine in sorted(apart)
        for budget in _budgets(apart[scale, machine])
    ]
    return tuple(block for block in blocks if block.scores)


def _budgets(records: Iterable[Record]) -> list[list[Record]]:
    """Runs by the tokens they were trained on; a seed may change those by up to `SAME_BUDGET`."""

    def tokens(record: Record) -> float:
        return record.counts.get("tokens") or 0

    budgets: list[list[Record]] = []
    for record in sorted(records, key=tokens):
        if budgets and tokens(record) <= SAME_BUDGET * tokens(budgets[-1][0]):
            budgets[-1].append(record)
        else:
            budgets.append([record])
    return budgets


def _block(
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
    for cell in table.measurable:
        runs = [r for r in by_selection[_wanted(cell, keys)] if set(cell.scores) <= set(r.scores)]
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
    wanted = [tuple(run[key] for key in keys) for run in _runs(table, cell)]
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
