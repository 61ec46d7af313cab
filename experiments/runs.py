"""Which runs there were, each once, and what they cost."""

from collections.abc import Iterable

from experiments.compare import Comparison
from experiments.record import FINISHED, Record


def one_a_run(records: Iterable[Record]) -> list[Record]:
    """Records, newest first; of a run that was written twice, what it came to in the end."""
    found: dict[tuple[object, ...], Record] = {}
    for record in sorted(records, key=lambda r: (r.status == FINISHED, r.seconds)):
        choices = tuple(sorted(record.choices.items()))
        found[record.when, record.seed, choices, tuple(record.overrides)] = record
    return sorted(found.values(), key=lambda r: (r.when, r.digest), reverse=True)


def cost(comparison: Comparison) -> float:
    """Core hours of all runs about a table, whether it shows them or not."""
    blocks = (comparison.paper, *comparison.reduced)
    shown = [record for block in blocks for record in block.records]
    left = (*comparison.changed, *comparison.failed, *comparison.partial)
    return core_hours([*shown, *left])


def core_hours(records: Iterable[Record]) -> float:
    """Of all runs together, each once."""
    return sum(run.core_hours for run in one_a_run(records))
