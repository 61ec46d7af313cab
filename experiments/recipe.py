"""What of a command makes it another recipe than a table's, and what only says where it runs."""

from experiments.record import Record
from experiments.table import Table

# Where a run happens and what it leaves behind; `hardware` changes speed, not the mathematics. What
# it rounds to is looked at apart (precision.py).
SURROUNDINGS = frozenset(
    {"seed", "hardware", "logger", "hydra", "output_dir", "records", "name", "resume", "rerun"}
    | {"checkpoint_every", "evaluate_only"}
)


def recipe_changes(table: Table, record: Record) -> list[str]:
    """The overrides of a record that make it another recipe than the table's."""
    return [override for override in record.overrides if not _harmless(table, override)]


def meets(table: Table, record: Record) -> bool:
    """Whether a record has the overrides that a table requires."""
    return table.requires <= set(map(key, record.overrides))


def key(override: str) -> str:
    """What an override is of: `scale.lr` for `scale.lr=0.002`, `model` for `model@x=mac`."""
    return override.lstrip("+~").partition("=")[0].partition("@")[0]


def _harmless(table: Table, override: str) -> bool:
    key, _, value = override.lstrip("+~").partition("=")
    if key == "experiment":
        return value in {table.name, *table.recipes}
    allowed = {"model", "task", "scale", *table.selects, *table.average_over, *table.requires}
    neutral = any(key == name or key.startswith(f"{name}.") for name in table.neutral)
    return key in allowed or neutral or key.partition(".")[0] in SURROUNDINGS
