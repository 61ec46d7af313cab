"""Whether a run is needless, because a record of it is there."""

from collections.abc import Iterable
from dataclasses import replace

from experiments.compare import SURROUNDINGS, recipe_changes, selection
from experiments.record import FINISHED, Record
from experiments.table import Table

Identity = tuple[dict[str, str], frozenset[str]]


def recorded(planned: Record, records: Iterable[Record], tables: Iterable[Table]) -> Record | None:
    """The last finished record that makes a planned run needless.

    Either the record is of the same choices, overrides and seed; or the run is of a table's
    recipe, and the record is one that the table would not ask for again.

    Args:
        planned: the choices, settings, overrides and seed of a run that has not begun.
        records: what there is, oldest first.
        tables: whose recipes count.
    """
    finished = [r for r in records if r.status == FINISHED and r.seed == planned.seed]
    recipes = [table for table in tables if _by_recipe(table, planned)]
    enough = [
        record
        for record in finished
        if _identity(record) == _identity(planned)
        or any(_fills(table, planned, record) for table in recipes)
    ]
    return enough[-1] if enough else None


def _identity(record: Record) -> Identity:
    """The choices and the overrides that make another run; not where it happened."""
    choices = {g: o for g, o in record.choices.items() if g not in SURROUNDINGS}
    changed = (o for o in record.overrides if _key(o) not in record.choices)
    return choices, frozenset(o for o in changed if _key(o).partition(".")[0] not in SURROUNDINGS)


def _key(override: str) -> str:
    return override.lstrip("+~").partition("=")[0].partition("@")[0]


def _by_recipe(table: Table, planned: Record) -> bool:
    """Whether a run is a table's own; another length or number of prompts is asked for anew."""
    strict = replace(table, neutral=frozenset())
    return planned.choices.get("experiment") in table.recipes and not recipe_changes(
        strict, planned
    )


def _fills(table: Table, planned: Record, record: Record) -> bool:
    """Whether a record has every score of the cells that a run would fill."""
    keys = sorted({*table.selects, *table.average_over, "scale"})
    if recipe_changes(table, record) or selection(record, keys) != selection(planned, keys):
        return False
    own = sorted(table.selects - {"scale"})
    wanted = [
        cell
        for cell in table.measurable
        if tuple(cell.run[key] for key in own) == selection(planned, own)
    ]
    return bool(wanted) and all(set(cell.scores) <= set(record.scores) for cell in wanted)
