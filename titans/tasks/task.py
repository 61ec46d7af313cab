"""What every objective shares: a network, what the run is, and what a checkpoint has to fit."""

import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.optim import Optimizer

from titans.tasks.optimization import MakeOptimizer

log = logging.getLogger(__name__)

# From so many times the norm that it is clipped to, a gradient's direction is not to be trusted.
EXPLODED = 1000


class DivergedError(RuntimeError):
    """The loss or its gradient stopped being a number.

    Attributes:
        kept: where the batch is that did it; None where it is not kept.
    """

    kept: Path | None = None

    def __str__(self) -> str:
        place = f"; the batch is in {self.kept}" if self.kept else ""
        return super().__str__() + place


class Task(LightningModule):
    """A network that is trained.

    Args:
        network: the model.
        optimizer: makes the optimiser from parameter groups.
        run: what the run is (`choices`, `overrides`, `seed`, `network`), kept in its checkpoints.

    Attributes:
        mend: what to set where the training diverges.
        shards: whether the network can be divided among processes.
        ended: whether the training of the checkpoint that was loaded had come to its end.
        seconds_before: what the run had taken when it left the checkpoint that it goes on from.
    """

    mend = "lower the learning rate"
    shards = False

    def __init__(
        self, network: nn.Module, optimizer: MakeOptimizer, run: dict[str, Any] | None = None
    ) -> None:
        super().__init__()
        self.network, self.make_optimizer, self.run = network, optimizer, dict(run or {})
        self.tokens_seen = self.steps_taken = 0
        self.exploded = False
        self.ended = True
        self.seconds_before, self.began = 0.0, time.monotonic()

    @property
    def settled(self) -> bool:
        """Whether the training may end before its last step."""
        return False

    @property
    def counts(self) -> dict[str, int]:
        """What the training took, for the record."""
        return {"tokens": self.tokens_seen, "steps": self.steps_taken}

    def count(self, loss: Tensor, tokens: int) -> None:
        """Counts a batch of so many tokens on this device.

        Raises:
            DivergedError: its loss is infinite or NaN.
        """
        if not torch.isfinite(loss):
            raise DivergedError(
                f"the loss is {loss.item()} at step {self.global_step}: {self.mend}"
            )
        self.tokens_seen += tokens * self.trainer.world_size
        self.steps_taken = self.global_step + 1

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Refuses to step along a gradient that is not finite; warns of the first that explodes.

        Raises:
            DivergedError: it is not.
        """
        gradients = [p.grad for p in self.parameters() if p.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        norm = norm.full_tensor() if isinstance(norm, DTensor) else norm
        step = self.global_step
        if not torch.isfinite(norm):
            raise DivergedError(f"the gradient is {norm.item()} at step {step}: {self.mend}")
        clip = self.trainer.gradient_clip_val
        if clip and norm > EXPLODED * clip and not self.exploded:
            self.exploded = True
            log.warning(
                "the gradient has a norm of %.0e at step %d, and is clipped to %g: if that goes "
                "on, steps follow noise: %s",
                norm.item(),
                step,
                clip,
                self.mend,
            )
        self.show({"train/gradient_norm": norm})

    def show(self, values: dict[str, Tensor]) -> None:
        """Logs values against the tokens seen."""
        self.log_dict(values | {"tokens": float(self.tokens_seen)})

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Notes whose checkpoint it is."""
        checkpoint["run"], checkpoint["tokens_seen"] = self.run, self.tokens_seen
        checkpoint["seconds"] = self.seconds_before + time.monotonic() - self.began

    def restore(self, checkpoint: dict[str, Any]) -> None:
        """Takes the weights of a checkpoint, and notes in `restored` the run that made it."""
        self.on_load_checkpoint(checkpoint)
        self.load_state_dict(checkpoint["state_dict"])
        self.restored: dict[str, Any] = checkpoint["run"]
        self.seconds_before = 0.0

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Goes on counting, once the checkpoint is known to fit.

        Raises:
            ValueError: another model or scale made it, or its weights have other shapes.
        """
        theirs, ours = words(checkpoint["run"]), words(self.run)
        weights, own = checkpoint["state_dict"], self.state_dict()
        if theirs != ours:
            raise ValueError(
                f"the checkpoint is of {theirs}, and this run is {ours}: choose the same groups, "
                "or another checkpoint"
            )
        differing = {k for k in weights.keys() | own.keys() if shape(weights, k) != shape(own, k)}
        if differing:
            raise ValueError(
                f"the checkpoint is of {theirs} with other settings: {min(differing)} and "
                f"{len(differing) - 1} more weights differ; give the settings it was trained with"
            )
        if checkpoint["run"].get("network") != self.run.get("network"):
            raise ValueError(
                f"the checkpoint is of {theirs} with other settings of the network: give those it "
                f"was trained with ({' '.join(checkpoint['run'].get('overrides', [])) or 'none'})"
            )
        self.tokens_seen = int(checkpoint["tokens_seen"])
        self.steps_taken = int(checkpoint["global_step"])
        self.seconds_before = float(checkpoint.get("seconds", 0.0))
        # Older checkpoints do not say.
        self.ended = bool(checkpoint.get("ended", True))


def words(run: dict[str, Any]) -> str:
    """Model and scale of a run, as one types them."""
    choices = run.get("choices", {})
    return " ".join(f"{group}={choices.get(group)}" for group in ("model", "scale"))


def shape(weights: Mapping[str, Tensor], name: str) -> tuple[int, ...] | None:
    """The shape of a weight; None where there is none of that name."""
    return tuple(weights[name].shape) if name in weights else None
