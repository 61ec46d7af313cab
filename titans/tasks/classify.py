"""Classification by cross-entropy, stopped where the validation error no longer falls."""

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from titans.tasks.optimization import MakeOptimizer
from titans.tasks.pretrained import take_pretrained
from titans.tasks.validated import Validated


class Classify(Validated):
    """Trains a classifier of sequences.

    Args:
        network: tokens `[batch, time]` to logits `[batch, classes]`.
        optimizer: makes the optimiser from parameter groups.
        pretrained: a checkpoint of a language model, whose weights are where the training begins.
        run: what the run is; see `Task`.
        settings: those of `Validated`.

    Raises:
        ValueError: the checkpoint does not fit, or a setting is wrong.
    """

    error = "error"

    def __init__(
        self,
        network: nn.Module,
        optimizer: MakeOptimizer,
        *,
        pretrained: str | None = None,
        run: dict[str, Any] | None = None,
        **settings: Any,
    ) -> None:
        if pretrained:
            take_pretrained(network, pretrained, run or {})
        super().__init__(network, optimizer, run=run, **settings)
        self.fine_tuned = bool(pretrained)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Notes with what the training began, too."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["fine_tuned"] = self.fine_tuned

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Takes from the checkpoint, which knows it, with what its training began."""
        super().on_load_checkpoint(checkpoint)
        typed = checkpoint["run"].get("overrides", [])
        begun = any(o.startswith("task.pretrained=") and o[16:] != "null" for o in typed)
        self.fine_tuned = checkpoint.get("fine_tuned", begun)

    def training_step(self, batch: dict[str, Tensor]) -> Tensor:
        """Mean loss (nats) of one batch of `tokens` `[batch, time]` and `labels` `[batch]`.

        Raises:
            DivergedError: it is infinite or NaN.
        """
        tokens, labels = batch["tokens"], batch["labels"]
        self.seed_step()
        logits = self.network(tokens).float()
        loss = F.cross_entropy(logits, labels)
        self.count(loss, tokens.numel())
        accuracy = (logits.argmax(-1) == labels).float().mean()
        self.show({"train/loss": loss.detach(), "train/accuracy": accuracy})
        return loss

    def validation_error(self) -> float:
        """Percent of the validation sequences that are classified wrongly."""
        wrong = sequences = 0
        for batch in self.trainer.datamodule.sequences("validation"):  # type: ignore[attr-defined]
            tokens, labels = batch["tokens"].to(self.device), batch["labels"].to(self.device)
            wrong += int((self.network(tokens).argmax(-1) != labels).sum())
            sequences += len(labels)
        return 100 * wrong / sequences
