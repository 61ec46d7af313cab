"""Records of the needle task, made up."""

from experiments.compare import Comparison, compare
from experiments.record import Record
from experiments.table import HERE, load

KEY = "niah_single_1/2048"


def niah(score: float | None, *extra: str, seed: int = 0, **fields: object) -> Record:
    """A record of MAC on the needle task."""
    content: dict[str, object] = {
        "choices": {"model": "mac", "task": "niah", "scale": "tiny"},
        "overrides": ["model=mac", "task=niah", "scale=tiny", f"seed={seed}", *extra],
        "seed": seed,
        "scores": {KEY: score},
        "counts": {"tokens": 1000, f"prompts/{KEY}": 24},
        "started": "2026-01-01T00:00:00+00:00",
    }
    return Record(**(content | fields))  # type: ignore[arg-type]


def table2(*records: Record) -> Comparison:
    return compare(load(HERE / "table2_niah"), records)
