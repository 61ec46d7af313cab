"""Training that stops where the validation error no longer falls, and keeps the best weights."""

import copy
from collections.abc import Callable
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from titans.tasks.optimization import MakeOptimizer, cosine, decayed_apart
from titans.tasks.task import Task


def halving(epoch: int) -> float:
    """The literature's schedule: two epochs at the full rate, then half of it after each."""
    return 0.5 ** max(0, epoch - 1)


def constant(epoch: int) -> float:
    """The full rate throughout."""
    return 1.0


SCHEDULES: dict[str, Callable[[int], float]] = {"halving": halving, "constant": constant}


class Validated(Task):
    """What classification and forecasting share.

    The best weights and the patience that is left are part of a checkpoint: a run that is resumed
    ends as it would have.

    Args:
        network: what is trained.
        optimizer: makes the optimiser from parameter groups.
        epochs: passes over the training part, at most.
        patience: epochs without a lower validation error after which the training ends.
        schedule: of the learning rate: `halving`, `constant`, or `cosine` by the step.
        warmup: steps over which the learning rate of `cosine` rises.
        run: what the run is; see `Task`.

    Attributes:
        error: what the validation error is called on the dashboards.

    Raises:
        ValueError: no epoch, no patience, or an unknown schedule.
    """

    error = "error"
    mend = "lower the learning rate (task.training.lr)"
    best_error: Tensor
    epochs_waited: Tensor
    step_validated: Tensor

    def __init__(
        self,
        network: nn.Module,
        optimizer: MakeOptimizer,
        *,
        epochs: int,
        patience: int = 3,
        schedule: str = "halving",
        warmup: int = 0,
        run: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(network, optimizer, run)
        if epochs < 1 or patience < 1:
            raise ValueError("task.training.epochs and task.training.patience are 1 or more")
        if schedule not in {*SCHEDULES, "cosine"}:
            known = ", ".join(SCHEDULES)
            raise ValueError(f"task.training.schedule is {schedule!r}, not {known} or cosine")
        self.epochs, self.patience = epochs, patience
        self.schedule, self.warmup = schedule, warmup
        self.best = copy.deepcopy(network).requires_grad_(False)
        self.register_buffer("best_error", torch.tensor(torch.inf))
        self.register_buffer("epochs_waited", torch.tensor(0))
        self.register_buffer("step_validated", torch.tensor(0))

    @property
    def settled(self) -> bool:
        """Whether patience is at its end."""
        return int(self.epochs_waited) >= self.patience

    @property
    def counts(self) -> dict[str, int]:
        """What the training took, for the record."""
        # No tokens, which would be a budget: here the validation error decides how many it takes.
        return {"steps": self.steps_taken}

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps of one pass over the training part.

        Raises:
            ValueError: not one.
        """
        steps = self.trainer.max_steps // self.epochs
        if not steps:
            raise ValueError(
                f"{self.trainer.max_steps} steps are not {self.epochs} epochs: set "
                "task.training.epochs, which data and objective share"
            )
        return steps

    def validation_error(self) -> float:
        """The error over the whole validation part, with the network as it is now."""
        raise NotImplementedError

    def seed_step(self) -> None:
        """Makes dropout, too, a function of the step, so that a resumed run draws the same."""
        torch.manual_seed(hash((self.run.get("seed", 0), self.tokens_seen, self.global_rank)))

    def configure_optimizers(self) -> Any:
        """The optimiser, and the schedule by the epoch or by the step."""
        optimizer = self.make_optimizer(decayed_apart(self.network))
        if self.schedule == "cosine":
            schedule = cosine(optimizer, self.trainer.max_steps, self.warmup, final=0.0)
        else:
            by_epoch, length = SCHEDULES[self.schedule], self.steps_per_epoch
            schedule = LambdaLR(optimizer, lambda step: by_epoch(step // length))
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }

    def configure_callbacks(self) -> list[Callback]:
        """What validates."""
        return [_AfterEachEpoch()]

    @torch.no_grad()
    def validate(self) -> None:
        """Keeps the weights where the error over the whole validation part is the lowest yet."""
        self.network.eval()
        # The statistics of batches may differ from process to process: all go by the first.
        error = self.trainer.strategy.broadcast(self.validation_error())
        self.network.train()
        self.step_validated.fill_(self.global_step)
        self.epochs_waited += 1
        if error < self.best_error:
            self.best.load_state_dict(self.network.state_dict())
            self.best_error.fill_(error)
            self.epochs_waited.zero_()
        for logger in self.loggers:
            values_now = {f"validation/{self.error}": error, "tokens": float(self.tokens_seen)}
            logger.log_metrics(values_now, step=self.global_step)

    def on_fit_start(self) -> None:
        """Trains no further what had settled before it was resumed."""
        self.trainer.should_stop = self.settled

    def on_fit_end(self) -> None:
        """Takes the best weights."""
        self._take_best()

    def restore(self, checkpoint: dict[str, Any]) -> None:
        """Takes the best weights of a checkpoint, and notes the run that made it."""
        super().restore(checkpoint)
        self._take_best()

    def _take_best(self) -> None:
        if torch.isfinite(self.best_error):
            self.network.load_state_dict(self.best.state_dict())


class _AfterEachEpoch(Callback):
    """Validates at the end of an epoch, and ends the training once it has settled.

    Lightning's own validation comes after the checkpoint of a step, and once more where a signal
    stops the training: neither could be resumed exactly.
    """

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """Validates once an epoch, however many batches a step is accumulated from."""
        assert isinstance(pl_module, Validated)
        step = trainer.global_step
        if step % pl_module.steps_per_epoch == 0 and step != int(pl_module.step_validated):
            pl_module.validate()
            trainer.should_stop = trainer.should_stop or pl_module.settled
