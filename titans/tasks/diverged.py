"""Keeps the batch at which a training diverged."""

import logging
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.fabric.utilities import move_data_to_device

from titans.tasks.task import DivergedError

log = logging.getLogger(__name__)


class KeepDivergedBatch(Callback):
    """Writes the last batch into a folder where the loss or its gradient is not finite.

    The file is `diverged.pt`, with the rank of the process in its name where it is not the first:
    `batch`, `step` and `batch_of_step`, the number of the batch among those that a step is
    accumulated from. `torch.load(path, weights_only=True)` reads it.

    Args:
        folder: where the run's files go.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Takes note of the batch."""
        self.batch = batch
        self.number = batch_idx % trainer.accumulate_grad_batches

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Writes it, and tells the error where."""
        if not isinstance(exception, DivergedError):
            return
        rank = f"-rank{trainer.global_rank}" if trainer.global_rank else ""
        path = self.folder / f"diverged{rank}.pt"
        kept = {"step": trainer.global_step, "batch_of_step": self.number, "batch": self.batch}
        try:
            torch.save(move_data_to_device(kept, torch.device("cpu")), path)
        # That the loss is no number is the news; torch says of a full disk that it is a fault.
        except (OSError, RuntimeError) as error:
            log.warning("the batch is not kept: %s", error)
            path.unlink(missing_ok=True)
            return
        exception.kept = path
