"""What the numbers of a run were rounded to: that changes its scores, and not its speed alone."""

from functools import lru_cache
from typing import Any

import yaml

from experiments.cell import CONF
from experiments.record import Record

FULL = "float32"
# What Lightning takes -> one name for each.
NAMES = {"32-true": FULL, "32": FULL, "64": "64-true", "16": "16-mixed", "bf16": "bf16-mixed"}


def precision(record: Record) -> str:
    """That of a run's training and scoring, e.g. `bf16-mixed`; empty where both were float32."""
    now = _name(record.machine.get("precision"))
    trained = _of_checkpoint(record.overrides) or now
    # Evaluations take the weights as they are, and these stay in float32; speed is measured as set.
    mixed = now.endswith("-mixed") and "steps" in record.counts
    scored = FULL if mixed else now
    if trained != scored:
        return f"trained in {trained}, scored in {scored}"
    return "" if scored == FULL else scored


def _of_checkpoint(overrides: list[str]) -> str:
    """Of a checkpoint that is scored, whose own overrides come first; else empty."""
    typed: dict[str, str] = {}
    for override in overrides:
        key, _, value = override.lstrip("+").partition("=")
        typed.setdefault(key, value)
    if "evaluate_only" not in typed:
        return ""
    own = typed.get("hardware.trainer.precision")
    return _name(own.strip("'\"")) if own else _of_option(typed.get("hardware", "auto"))


@lru_cache
def _of_option(hardware: str) -> str:
    """What an option of `hardware` computes in; where it does not say, that of `auto`."""
    path = CONF / "hardware" / f"{hardware}.yaml"
    content: Any = yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else {}
    return _name(content.get("hardware", content).get("trainer", {}).get("precision"))


def _name(given: object) -> str:
    """One name for what was given; older records say nothing, and were float32."""
    return NAMES.get(str(given), str(given)) if given else FULL
