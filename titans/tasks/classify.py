"""Classification by cross-entropy, stopped where the validation error no longer falls."""

import torch.nn.functional as F
from torch import Tensor

from titans.tasks.validated import Validated


class Classify(Validated):
    """Trains a classifier of sequences.

    The network maps tokens `[batch, time]` to logits `[batch, classes]`.
    """

    error = "error"

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
