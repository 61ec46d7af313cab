"""Whether a run of a sweep is needless, because a record of it is there."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from experiments.block import asked_by, selection
from experiments.cell import Cell
from experiments.configured import configured, steps
from experiments.precision import precision
from experiments.recipe import SURROUNDINGS, recipe_changes
from experiments.record import FINISHED, Record
from experiments.table import Table


def recorded(planned: Record, records: Iterable[Record], tables: Iterable[Table]) -> Record | None:
    """The last finished record that makes a planned run needless.

    It is of the same precision and seed. Either it is of the same choices and configuration too; or
    the run is of the recipe of one or several tables, and none of them would ask for it again.

    Args:
        planned: the choices, settings, configuration, seed and precision of a run not begun yet.
        records: what there is, oldest first.
        tables: whose recipes count.
    """
    finished = [r for r in records if r.status == FINISHED and r.seed == planned.seed]
    recipes = ((table, _asked(table, planned)) for table in tables if _by_recipe(table, planned))
    asked = [(table, cells) for table, cells in recipes if cells]
    enough = (r for r in reversed(finished) if _fills(asked, planned, r) or same(planned, r))
    return next(enough, None)


def same(planned: Record, record: Record) -> bool:
    """Whether both are one run, seeds aside; of older records, if conf/ has not changed since."""
    if _choices(record) != _choices(planned) or precision(record) != precision(planned):
        return False
    # Composing takes a third of a second, and a table's settings tell most runs apart.
    known = record.settings.keys() & planned.settings.keys()
    if any(record.settings[key] != planned.settings[key] for key in known):
        return False
    if record.configuration:
        return record.configuration == planned.configuration
    return _today(record) == planned.configuration and not _outdated(record)


def _choices(record: Record) -> dict[str, str]:
    return {g: o for g, o in record.choices.items() if g not in SURROUNDINGS}


def _today(record: Record) -> dict[str, str] | None:
    """What the command of a record makes now; None where it can no longer be run."""
    try:
        return configured(tuple(record.overrides))
    except (HydraException, OmegaConfBaseException):
        return None


def _by_recipe(table: Table, planned: Record) -> bool:
    """Whether a run is a table's own; another length or number of prompts is asked for anew.

    What a table requires may be another checkpoint now: such a run is never known by its recipe.
    """
    if table.requires:
        return False
    strict = replace(table, neutral=frozenset())
    return planned.choices.get("experiment") in table.recipes and not recipe_changes(
        strict, planned
    )


def _asked(table: Table, planned: Record) -> list[Cell]:
    """The cells of a table that a run would fill."""
    keys = sorted(table.selects - {"scale"})
    return [cell for cell in table.wanted if asked_by(cell, keys) == selection(planned, keys)]


def _fills(asked: Sequence[tuple[Table, list[Cell]]], planned: Record, record: Record) -> bool:
    """Whether a record has every score of the cells that a run would fill, in whatever table."""
    if precision(record) != precision(planned):
        return False
    for table, cells in asked:
        keys = sorted({*table.selects, *table.average_over, "scale"})
        if recipe_changes(table, record) or selection(record, keys) != selection(planned, keys):
            return False
        if not all(set(cell.scores) <= set(record.scores) for cell in cells):
            return False
    return bool(asked) and not _outdated(record)


def _outdated(record: Record) -> bool:
    """Whether conf/ now trains something else by the command of a record, as far as is known."""
    today = _today(record)
    if today is None:
        return True
    if record.configuration:
        return replace(record, configuration=today).trained != record.trained
    # Of an older record, its steps are all that tells.
    now, made = steps(tuple(record.overrides)), record.counts.get("steps")
    return None not in (now, made) and now != made
