"""Next-token prediction, on all tokens or on those that have a target."""

import math
from contextlib import nullcontext
from typing import Any

import torch.nn.functional as F
from lightning.pytorch.strategies import DDPStrategy
from torch import Tensor
from torch.utils._pytree import tree_map_only

from titans.memory import NeuralMemory
from titans.models import Backbone, LanguageModel
from titans.tasks.optimization import MakeOptimizer, cosine, decayed_apart
from titans.tasks.price import written_by
from titans.tasks.sharded import Sharded, shard
from titans.tasks.task import Task
from titans.tasks.trained import Reading, pieces, reading_in

IGNORED = -100


class NextToken(Task):
    """Trains a language model by cross-entropy.

    Args:
        network: the model.
        optimizer: makes the optimiser from parameter groups.
        steps: optimiser steps of the whole run, which the learning rate follows.
        warmup: steps over which the learning rate rises.
        final_lr: learning rate at the end, as a share of the peak.
        write_price: what is added to the loss (nats) for the mean step of the memories, as a share
            of the largest, that without momentum. A memory that writes what nobody asks for drifts
            away, in texts longer than any of the training; see FIDELITY.md, "Gates".
        price_from: the step from which it is.
        run: what the run is; see `Task`.

    Raises:
        ValueError: no step to take, or the price is below 0.
    """

    network: LanguageModel
    shards = True
    mend = (
        "lower the learning rate (optimizer.lr) or the memory's step (model.memory.gates.max_step)"
    )

    def __init__(
        self,
        network: LanguageModel,
        optimizer: MakeOptimizer,
        *,
        steps: int,
        warmup: int,
        final_lr: float = 0.1,
        write_price: float = 0.0,
        price_from: int = 0,
        run: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(network, optimizer, run)
        if steps < 1:
            raise ValueError(f"{steps} steps train nothing: set task.steps to 1 or more")
        if not 0 <= write_price < math.inf:
            raise ValueError(f"write_price={write_price}: set 0 or more nats")
        self.steps, self.warmup, self.final_lr = steps, warmup, final_lr
        self.write_price, self.price_from = write_price, price_from
        self.carried: Any = None
        self.reading: Reading | None = None

    def restore(self, checkpoint: dict[str, Any]) -> None:
        """Takes the weights, and how the model reads text, where it was trained on text."""
        super().restore(checkpoint)
        self.reading = reading_in(checkpoint)

    def check_pieces(self, tokenizer: str, end: int) -> None:
        """Refuses text in other pieces than those that a restored model was trained on.

        Args:
            tokenizer: the pieces, as a `tokenizer.json` has them.
            end: the token behind every document.

        Raises:
            ValueError: they are others.
        """
        own = self.reading
        if own and (pieces(tokenizer), end) != (pieces(own.tokenizer), own.end):
            raise ValueError(
                "the checkpoint was trained on other pieces than this text is cut into: write its "
                "tokenizer with `python -m titans.export CHECKPOINT out/`, and set "
                "task.tokenizer=out"
            )

    def training_step(self, batch: dict[str, Any]) -> Tensor:
        """Mean loss (nats) over the targets of `tokens`, `targets` `[batch, time]`, and the price.

        Args:
            batch: these, and where they are there `asked`, a number of targets to divide by instead
                of their own, and `continues`: whether they go on where the batch before ended,
                with its state, through which no gradient flows (truncated back-propagation).

        Raises:
            DivergedError: the loss is infinite or NaN.
        """
        asked, segments = batch["targets"] != IGNORED, "continues" in batch
        past = self.carried if segments and batch["continues"] else None
        priced = self.write_price > 0 and self.global_step >= self.price_from
        with written_by(self.network) if priced else nullcontext() as written:
            logits, state = self.network.answers(batch["tokens"], asked, past)
        # A step ends with its sequences: no checkpoint needs a state.
        self.carried = tree_map_only(Tensor, Tensor.detach, state) if segments else None
        targets = batch["targets"][asked]
        total = F.cross_entropy(logits.float(), targets, reduction="sum")
        loss = total / batch.get("asked", len(targets))
        if segments and isinstance(self.trainer.strategy, DDPStrategy):
            # DDP waits for a gradient of every weight; a segment that continues has no use for the
            # initial ones.
            loss = loss + 0 * sum(p.sum() for p in self.network.parameters())
        self.count(loss, batch["tokens"].numel())
        accuracy = (logits.argmax(-1) == targets).float().mean()
        self.show({"train/loss": loss.detach(), "train/accuracy": accuracy} | self._inside())
        return loss + self.write_price * written.mean if written else loss

    def on_fit_start(self) -> None:
        """Refuses a price on what is computed again.

        Raises:
            ValueError: the first pass through a block that is leaves no graph to find the price of.
        """
        again = any(isinstance(m, Backbone) and m.recomputes for m in self.network.modules())
        if self.write_price and again:
            raise ValueError(
                "writing has no price where blocks are computed again: set task.write_price=0, or "
                "hardware.activation_checkpointing=false"
            )

    def configure_model(self) -> None:
        """Shards the blocks and what is around them, where the strategy is to."""
        if isinstance(self.trainer.strategy, Sharded):
            self.gather = shard(self.network, self.device_mesh)

    def on_fit_end(self) -> None:
        """Puts the network together again, on rank zero, where it is scored."""
        if isinstance(self.trainer.strategy, Sharded):
            self.network = self.gather()

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
