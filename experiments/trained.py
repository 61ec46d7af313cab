"""Which records were trained alike: conf/ may have changed between two runs of the same choices."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from experiments.record import Record


def latest_training(records: Iterable[Record], apart: Sequence[str]) -> list[Record]:
    """Those that were trained as the last of them was.

    An older record of a checkpoint that was scored does not know its training: it goes with the
    last before it of the same seed. One without any is kept.

    Args:
        records: of the same choices and budget, oldest first.
        apart: settings whose values are trainings of their own, such as what a mean is over.
    """
    records = list(records)
    last: dict[tuple[object, ...], dict[str, str]] = {}
    trained: list[tuple[tuple[object, ...], dict[str, str]]] = []
    newest: dict[tuple[object, ...], dict[str, str]] = defaultdict(dict)
    for record in records:
        place = tuple(record.settings.get(key) for key in apart)
        own = record.trained or last.get((record.seed, *place), {})
        last[record.seed, *place] = own
        trained.append((place, own))
        newest[place] = own or newest[place]
    kept = zip(records, trained, strict=True)
    return [record for record, (place, own) in kept if not own or own == newest[place]]
