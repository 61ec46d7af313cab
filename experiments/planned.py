"""A run before it begins: what it is, and whether it is needed."""

import logging
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from experiments.configured import configured
from experiments.overrides import typed
from experiments.record import Record, noted, read_all
from experiments.recorded import recorded, same
from experiments.table import HERE, load, names, selecting

log = logging.getLogger("titans")


def identity(config: DictConfig) -> dict[str, Any]:
    """What a run is: kept in its checkpoints and its record."""
    chosen = {k: v for k, v in HydraConfig.get().runtime.choices.items() if "/" not in k and v}
    return {
        "choices": {group: str(option) for group, option in chosen.items() if "@" not in group},
        "overrides": typed(HydraConfig.get()),
        "seed": config.seed,
    }


def training(config: DictConfig) -> dict[str, Any]:
    """How a run trains: kept in its checkpoints, beside what it is."""
    return {
        "configuration": configured(tuple(typed(HydraConfig.get()))),
        "precision": OmegaConf.select(config, "hardware.trainer.precision") or "",
    }


def planned(config: DictConfig) -> Record:
    """The record of a run that begins now."""
    how = training(config)
    return Record(
        **identity(config),
        settings={k: v for k in selecting() if (v := OmegaConf.select(config, k)) is not None},
        configuration=how["configuration"],
        machine={"precision": how["precision"]},
        started=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def differing(config: DictConfig, run: dict[str, Any]) -> str:
    """In what a training would go on otherwise than its checkpoint began; empty for nothing.

    Args:
        config: of the training.
        run: what the checkpoint says of its own; an older one does not say how it trained.
    """
    now = training(config)
    if run.get("precision", now["precision"]) != now["precision"]:
        return f"in {run['precision']}, and not in {now['precision']} (hardware.trainer.precision)"
    theirs, ours = run.get("configuration", {}), now["configuration"]
    parts = sorted(
        part for part in theirs if part != "evaluations" and theirs[part] != ours.get(part)
    )
    return f"with other settings of {', '.join(parts)} than conf/ has now" if parts else ""


def known(config: DictConfig, checkpoint: Path) -> Record | None:
    """The record that makes a run of a sweep needless; one with its checkpoint is told to go on."""
    # What trains nothing measures speed, which another machine's record is no measure of.
    if config.rerun or config.evaluate_only or config.task.data is None:
        return None
    loaded = [load(HERE / name) for name in names()]
    tables = [table for it in loaded for table in (it, *it.protocols)]
    plan, left = planned(config), noted(checkpoint.parent)
    there = recorded(plan, read_all(config.records)[0], tables)
    if there is None and checkpoint.is_file():
        # The same command was another run where conf/ or the precision has changed since.
        config.resume = left is None or same(plan, left)
        said = "Goes on from %s" if config.resume else "Begins anew, as %s is of other settings"
        log.info(said, os.path.relpath(checkpoint))
    return there
