"""Next-token prediction, on all tokens or on those that have a target."""

from typing import Any

import torch
import torch.nn.functional as F
from lightning import LightningModule
from torch import Tensor
from torch.optim import Optimizer

from titans.memory import NeuralMemory
from titans.models import LanguageModel
from titans.tasks.optimization import MakeOptimizer, cosine, decayed_apart

IGNORED = -100
MEND = "lower the learning rate (scale.lr) or the memory's step (model.memory.gates.max_step)"


class DivergedError(RuntimeError):
    """The loss stopped being a number."""


class NextToken(LightningModule):
    """Trains a language model by cross-entropy.

    Args:
        network: the model.
        optimizer: makes the optimiser from parameter groups.
        steps: optimiser steps of the whole run, which the learning rate follows.
        warmup: steps over which the learning rate rises.
        final_lr: learning rate at the end, as a share of the peak.
        run: what the run is (`choices`, `overrides`, `seed`, `network`), kept in its checkpoints.

    Raises:
        ValueError: no step to take.
    """

    def __init__(
        self,
        network: LanguageModel,
        optimizer: MakeOptimizer,
        *,
        steps: int,
        warmup: int,
        final_lr: float = 0.1,
        run: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if steps < 1:
            raise ValueError(f"{steps} steps train nothing: set task.steps to 1 or more")
        self.network, self.make_optimizer = network, optimizer
        self.steps, self.warmup, self.final_lr = steps, warmup, final_lr
        self.run = dict(run or {})
        self.tokens_seen = self.steps_taken = 0

    def training_step(self, batch: dict[str, Tensor]) -> Tensor:
        """Mean loss (nats) over the targets of `tokens`, `targets` `[batch, time]`.

        Raises:
            DivergedError: the loss is infinite or NaN.
        """
        hidden, _ = self.network.hidden(batch["tokens"])
        asked = batch["targets"] != IGNORED
        logits, targets = self.network.logits(hidden[asked]), batch["targets"][asked]
        loss = F.cross_entropy(logits.float(), targets)
        if not torch.isfinite(loss):
            raise DivergedError(f"the loss is {loss.item()} at step {self.global_step}: {MEND}")
        self.tokens_seen += batch["tokens"].numel() * self.trainer.world_size
        accuracy = (logits.argmax(-1) == targets).float().mean()
        self.steps_taken = self.global_step + 1
        self._log({"train/loss": loss.detach(), "train/accuracy": accuracy} | self._inside())
        return loss

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Refuses to step along a gradient that is not finite.

        Raises:
            DivergedError: it is not.
        """
        gradients = [p.grad for p in self.parameters() if p.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        if not torch.isfinite(norm):
            raise DivergedError(f"the gradient is {norm.item()} at step {self.global_step}: {MEND}")
        self._log({"train/gradient_norm": norm})

    def _log(self, values: dict[str, Tensor]) -> None:
        self.log_dict(values | {"tokens": float(self.tokens_seen)})

    def _inside(self) -> dict[str, Tensor]:
        """Gate statistics and norms of each memory, as of the last forward pass."""
        memories = [m for m in self.modules() if isinstance(m, NeuralMemory)]
        return {
            f"memory{index}/{name}": value
            for index, memory in enumerate(memories)
            for name, value in memory.log.items()
        }

    def configure_optimizers(self) -> Any:
        """The optimiser, and warm-up and cosine by the step."""
        optimizer = self.make_optimizer(decayed_apart(self.network))
        schedule = cosine(optimizer, self.steps, self.warmup, self.final_lr)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Notes whose checkpoint it is."""
        checkpoint["run"], checkpoint["tokens_seen"] = self.run, self.tokens_seen

    def restore(self, checkpoint: dict[str, Any]) -> None:
        """Takes the weights of a checkpoint, and notes in `restored` the run that made it."""
        self.on_load_checkpoint(checkpoint)
        self.load_state_dict(checkpoint["state_dict"])
        self.restored: dict[str, Any] = checkpoint["run"]

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Goes on counting, once the checkpoint is known to fit.

        Raises:
            ValueError: another model or scale made it, or its weights have other shapes.
        """
        theirs, ours = _words(checkpoint["run"]), _words(self.run)
        weights, own = checkpoint["state_dict"], self.state_dict()
        if theirs != ours:
            raise ValueError(
                f"the checkpoint is of {theirs}, and this run is {ours}: choose the same groups, "
                "or another checkpoint"
            )
        differing = {k for k in weights.keys() | own.keys() if _shape(weights, k) != _shape(own, k)}
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


def _words(run: dict[str, Any]) -> str:
    choices = run.get("choices", {})
    return " ".join(f"{group}={choices.get(group)}" for group in ("model", "scale"))


def _shape(weights: dict[str, Tensor], name: str) -> tuple[int, ...] | None:
    return tuple(weights[name].shape) if name in weights else None
