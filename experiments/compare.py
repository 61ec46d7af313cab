"""Ours beside theirs: which record fills which cell, at the paper's scale or apart from it."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from experiments.block import Block, Selection, asked_by, fill, reduced_blocks, runs_of, selection
from experiments.cell import CONF, Cell, command
from experiments.precision import precision
from experiments.recipe import meets, recipe_changes
from experiments.record import FINISHED, Record
from experiments.table import Table

# What blocks at the paper's scale are called, of runs in another precision than most of their cell.
OTHERWISE = "At the paper's scale"


@dataclass(frozen=True)
class Comparison:
    """A table joined with the records that are about it.

    Attributes:
        paper: Cells measured at the paper's scale.
        reduced: Every other scale, budget and precision, each apart; and the other protocols'.
        changed: Runs whose overrides left the recipe; shown nowhere as a score.
        failed: Runs that did not finish; shown nowhere as a score.
        partial: Runs of a mean that lacks others; shown nowhere as a score.
        recipe: Runs that finished and kept the recipe; what they lack for a cell is missing.
    """

    table: Table
    paper: Block
    reduced: tuple[Block, ...]
    changed: tuple[Record, ...]
    failed: tuple[Record, ...]
    recipe: tuple[Record, ...] = ()
    partial: tuple[Record, ...] = ()

    def missing(self) -> list[Cell]:
        """Cells that no run fills at the scale they ask for, with as many steps as conf/ says now.

        One with other steps, of an earlier recipe, is shown and not enough.
        """
        blocks = (self.paper, *self.reduced)
        measured = {
            (cell, block.scale)
            for block in blocks
            for cell, score in block.scores.items()
            if any(all(_is_current(cell, record) for record in seed) for seed in score.runs)
        }
        places = {cell: {(cell, ""), (cell, cell.run.get("scale"))} for cell in self.table.wanted}
        return [cell for cell, own in places.items() if not own & measured]

    def fullest(self) -> list[Block]:
        """The blocks with scores; of several budgets alone that of today's recipe, or with most."""
        most: dict[tuple[str, ...], Block] = {}
        for block in (self.paper, *self.reduced):
            place = (block.scale, block.machine, block.protocol, block.precision)
            before = most.setdefault(place, block)
            if self._weight(block) > self._weight(before):
                most[place] = block
        return [block for block in most.values() if block.scores]

    @staticmethod
    def _weight(block: Block) -> tuple[int, int]:
        """How many scores are of the recipe that conf/ has now, and how many there are."""
        current = (
            all(_is_current(cell, record) for seed in score.runs for record in seed)
            for cell, score in block.scores.items()
        )
        return sum(current), len(block.scores)

    def apart(self) -> int:
        """How many scores were measured at a reduced scale, whatever rows would share them."""
        cells = (cell for block in self.reduced for cell in block.scores)
        return len({(frozenset({**cell.run, "scale": ""}.items()), cell.scores) for cell in cells})

    def commands(self, conf: Path = CONF) -> list[str]:
        """The runs that would fill the missing cells, each once, where `conf` can run them."""
        runs = (run for cell in self.missing() if cell.runnable(conf) for run in self._absent(cell))
        return list(dict.fromkeys(runs))

    def _absent(self, cell: Cell) -> Iterator[str]:
        """The commands for what a cell averages over, as far as seed 0 has not run them."""
        for run in runs_of(self.table, cell):
            keys = sorted(run)
            there = (r for r in self.recipe if r.seed == 0 and _is_current(cell, r))
            full = {selection(r, keys) for r in there if set(cell.scores) <= set(r.scores)}
            if tuple(run[key] for key in keys) not in full:
                yield command(run)


def _is_current(cell: Cell, record: Record) -> bool:
    """Whether a record has the steps that conf/ says now, as far as both are known."""
    now, made = cell.steps(), record.counts.get("steps")
    return None in (now, made) or now == made


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
    wanted = {asked_by(cell, keys) for cell in table.measurable}
    relevant = [
        record
        for record in records
        if selection(record, keys) in wanted
        and record.digest not in elsewhere
        and meets(table, record)
    ]
    finished = [record for record in relevant if record.status == FINISHED]
    recipe = [record for record in finished if not recipe_changes(table, record)]
    at_scale = _at_scale(table, keys, recipe)
    paper = fill("", None, table, keys, at_scale, exact=True)
    shown = {record.digest for record in at_scale}
    reduced = tuple(
        replace(block, protocol=OTHERWISE) if block.scale in table.paper_scale else block
        for block in reduced_blocks(table, keys, (r for r in recipe if r.digest not in shown))
    )
    return Comparison(
        table=table,
        paper=paper,
        reduced=reduced
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
        partial=_once(
            *_partial(table, recipe, (paper, *reduced)),
            *(record for it in apart for record in it.partial),
        ),
    )


def _at_scale(table: Table, keys: Sequence[str], recipe: Iterable[Record]) -> list[Record]:
    """Runs at the paper's scale; of several precisions of a cell those of the one with most."""
    cells: dict[Selection, dict[str, list[Record]]] = defaultdict(lambda: defaultdict(list))
    for record in recipe:
        if record.choices.get("scale") in table.paper_scale:
            cells[selection(record, [*keys, "scale"])][precision(record)].append(record)
    return [record for found in cells.values() for record in max(found.values(), key=len)]


def _partial(table: Table, recipe: Iterable[Record], blocks: Iterable[Block]) -> Iterator[Record]:
    """Runs that a mean asks for, in whose place no block has one: the mean's others lack."""
    keys = sorted({*table.selects, *table.average_over} - {"scale"})
    asked = {
        (tuple(run[key] for key in keys), cell.scores)
        for cell in (table.measurable if table.average_over else ())
        for run in runs_of(table, cell)
    }
    shown = {_place(record, keys) for block in blocks for record in block.records}
    for record in recipe:
        own = selection(record, keys)
        scored = any(own == run and set(scores) <= set(record.scores) for run, scores in asked)
        if scored and _place(record, keys) not in shown:
            yield record


def _place(record: Record, keys: Sequence[str]) -> tuple[int, tuple[str, ...]]:
    return record.seed, selection(record, [*keys, "scale"])


def _once(*records: Record) -> tuple[Record, ...]:
    return tuple({record.digest: record for record in records}.values())
