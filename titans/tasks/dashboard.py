"""How a run appears on Weights & Biases."""

import logging
import os
from pathlib import Path
from typing import Any

import wandb
from lightning.pytorch.loggers import WandbLogger

log = logging.getLogger(__name__)


def wandb_logger(folder: str, **settings: Any) -> WandbLogger:
    """A logger that is online where a key is configured, and offline otherwise.

    Args:
        folder: where the run's files go.
        settings: what `WandbLogger` takes: project, name, group, tags, config …
    """
    Path(folder).mkdir(parents=True, exist_ok=True)
    mode = os.environ.get("WANDB_MODE")
    if mode is None:
        mode = "online" if wandb.login(prompt=False, verify=False) else "offline"
    offline = mode == "offline"
    wandb.setup(settings=wandb.Settings(silent=True))
    logger = WandbLogger(save_dir=folder, offline=offline, mode=mode, **settings)
    run = logger.experiment
    run.define_metric("tokens")
    run.define_metric("*", step_metric="tokens")
    if offline:
        files = os.path.relpath(Path(run.dir).parent)
        log.info(
            "W&B is offline (no key): open the run with `wandb leet %s`, "
            "upload it with `wandb sync %s`", files, files
        )  # fmt: skip
    return logger
