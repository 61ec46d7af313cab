"""How a run appears on Weights & Biases, and on other dashboards."""

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import wandb
from lightning.pytorch.loggers import Logger, WandbLogger

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


def finish(
    logger: Logger,
    scores: Mapping[str, float | None],
    counts: Mapping[str, float | None],
    pictures: Sequence[Path] = (),
) -> None:
    """Shows the scores of a run, with the prompts behind each and pictures where it can.

    The logger is closed.
    """
    logger.log_metrics({f"score/{k}": v for k, v in scores.items() if v is not None})
    if hasattr(logger, "log_table"):
        rows = [[k, v, counts.get(f"prompts/{k}")] for k, v in scores.items()]
        logger.log_table("scores", columns=["score", "value", "prompts"], data=rows)
    if hasattr(logger, "log_image"):
        for picture in pictures:
            logger.log_image(picture.stem, images=[str(picture)])
    logger.finalize("success")
    getattr(getattr(logger, "experiment", None), "finish", lambda: None)()
