"""Language modelling: batches of packed documents, as many tokens a step on any hardware."""

import logging
from typing import Any

from lightning import LightningDataModule
from torch.utils.data import DataLoader

from data.packing import Batch, PackedBatches
from data.steps import from_here_on
from data.text import Text

log = logging.getLogger(__name__)


class LanguageData(LightningDataModule):
    """The training part of a text.

    Args:
        text: the text.
        length: tokens of a sequence.
        step_tokens: tokens of an optimiser step, on all devices together.
        batch: sequences that one device goes through at once, at most.
        steps: optimiser steps of the run.
        seed: with the step and the rank, decides a batch.
        workers: processes that prepare batches.

    Raises:
        ValueError: a step is no whole number of sequences.
    """

    def __init__(
        self,
        text: Text,
        *,
        length: int,
        step_tokens: int,
        batch: int,
        steps: int,
        seed: int = 0,
        workers: int = 0,
    ) -> None:
        super().__init__()
        if min(length, step_tokens, batch) < 1 or step_tokens % length:
            raise ValueError(
                f"a step of {step_tokens} tokens is no whole number of sequences of {length}: set "
                "task.step_tokens to a multiple of task.length"
            )
        self.text, self.length, self.sequences = text, length, step_tokens // length
        self.batch, self.steps, self.seed, self.workers = batch, steps, seed, workers

    def accumulation(self, ranks: int) -> int:
        """Return how many batches a step has on each of so many devices.

        Raises:
            ValueError: the devices cannot share the sequences of a step.
        """
        if self.sequences % ranks:
            raise ValueError(
                f"{ranks} devices cannot share {self.sequences} sequences a step: set "
                "task.step_tokens to a multiple"
            )
        each = self.sequences // ranks
        # The fewest batches that are equal and no larger than is allowed.
        return next(n for n in range(1, each + 1) if each % n == 0 and each // n <= self.batch)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps of it: how to read text as the model does, and how much of it."""
        text = self.text
        reads = {"tokenizer": text.tokenizer, "end": text.end, "length": self.length}
        return reads | {"corpus": text.name}

    def setup(self, stage: str | None = None) -> None:
        """Tokenise or verify the shards, and have the trainer accumulate a step."""
        self.stream = self.text.stream("train")
        if not self.trainer:
            # Once, before a trainer is attached.
            held_out = self.text.manifest.tokens("validation")
            log.info("text: %s, %d tokens, %d held out", self.text.name, len(self.stream), held_out)
        if self.trainer:
            self.trainer.accumulate_grad_batches = self.accumulation(self.trainer.world_size)

    def train_dataloader(self) -> DataLoader[Batch]:
        """Return the batches from the trainer's step on, so that a resumed run is the same run."""
        trainer = self.trainer
        ranks = trainer.world_size if trainer else 1
        accumulate = self.accumulation(ranks)
        batches = PackedBatches(
            self.stream,
            self.length,
            sequences=self.sequences,
            seed=self.seed,
            rank=trainer.global_rank if trainer else 0,
            ranks=ranks,
            accumulate=accumulate,
        )
        return from_here_on(batches, self.steps, trainer, self.workers)
