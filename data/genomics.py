"""DNA to classify: the benchmark's own parts, or folds of its test part."""

import logging
from collections.abc import Iterator
from typing import Any

from lightning import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader

from data.classes import Sequences, evenly, load_sequences
from data.epochs import Batch, EpochBatches
from data.nucleotides import PADDING
from data.sequences import SOURCES
from data.steps import accumulation, from_here_on, place_of
from data.trained_on import refuse_other

log = logging.getLogger(__name__)
# One in so many training sequences validates.
HELD_OUT = 10
# The parts are the same for every seed of a run.
SPLIT_SEED = 0


class SequenceBatches(EpochBatches):
    """Sequences with their classes in batches; their order is said in `EpochBatches`."""

    def __init__(self, sequences: Sequences, **settings: int) -> None:
        super().__init__(len(sequences.labels), **settings)
        self.sequences = sequences

    def examples(self, chosen: Tensor) -> Batch:
        """Return `tokens` [batch, time], as long as the longest, and `labels` [batch]."""
        return _batch(self.sequences.chosen(chosen))


def _batch(sequences: Sequences) -> Batch:
    longest = int((sequences.tokens != PADDING).sum(1).max())
    return {"tokens": sequences.tokens[:, :longest].long(), "labels": sequences.labels}


class GenomicsData(LightningDataModule):
    """Sequences of one of the sets of GenomicsBenchmarks, or of a stand-in.

    Args:
        dataset: a name in `data.sequences.SOURCES`.
        folds: 1 for the benchmark's own training and test part; more cut the test part alone into
            as many folds, one of which tests what the others train.
        fold: which one tests.
        classes: that the network tells apart; None where that is not known.
        batch: training sequences a step.
        epochs: passes over the training sequences.
        seed: with the step and the rank, decides a training batch; the parts it does not.
        workers: processes that prepare batches.
        micro_batch: examples that a device goes through at once, at most; None for its share.

    Raises:
        ValueError: the set or the fold is unknown, the set has other classes, or no batch can be
            filled.
    """

    def __init__(
        self,
        *,
        dataset: str,
        folds: int = 1,
        fold: int = 0,
        classes: int | None = None,
        batch: int = 64,
        epochs: int = 10,
        seed: int = 0,
        workers: int = 0,
        micro_batch: int | None = None,
    ) -> None:
        super().__init__()
        if dataset not in SOURCES:
            raise ValueError(f"{dataset!r} is none of the sets {', '.join(SOURCES)}")
        if not 0 <= fold < folds:
            raise ValueError(
                f"task.fold is {fold}, and of task.folds={folds} from 0 to {folds - 1}"
            )
        known = len(SOURCES[dataset].classes)
        if classes not in (None, known):
            raise ValueError(
                f"task.classes is {classes}, and {dataset} has {known}: leave it as it is"
            )
        if batch < 1:
            raise ValueError("task.training.batch is 1 or more")
        self.dataset, self.folds, self.fold = dataset, folds, fold
        self.batch, self.epochs, self.seed, self.workers = batch, epochs, seed, workers
        self.micro_batch = micro_batch

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps of it: which data it is of."""
        return {"task.dataset": self.dataset, "task.folds": self.folds, "task.fold": self.fold}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Refuse a checkpoint of other data.

        Raises:
            ValueError: it is one.
        """
        refuse_other(state_dict, self.state_dict())

    @property
    def classes(self) -> tuple[str, ...]:
        """What the classes are called."""
        return tuple(SOURCES[self.dataset].classes)

    @property
    def protocol(self) -> str:
        """What sets the scores apart from those of the benchmark; empty for its own protocol."""
        stand_in = "stand_in_" if SOURCES[self.dataset].stand_in else ""
        return stand_in + ("cross_validated_" if self.folds > 1 else "")

    @property
    def steps(self) -> int:
        """Optimiser steps of the whole run.

        Raises:
            ValueError: a batch has more sequences than there are.
        """
        sequences = len(self.part("train").labels)
        if sequences < self.batch:
            raise ValueError(
                f"{sequences} training sequences for a batch of {self.batch}: "
                "lower task.training.batch"
            )
        return self.epochs * (sequences // self.batch)

    def accumulation(self, ranks: int) -> int:
        """Return how many batches a step has on each of so many devices; see `data.steps`."""
        return accumulation(self.batch, ranks, self.micro_batch)

    def setup(self, stage: str | None = None) -> None:
        """Read the sequences, and say what they are where they are not the benchmark's."""
        self.part("train")
        # The trainer, which names its stage, calls it again.
        if stage is None and SOURCES[self.dataset].stand_in:
            log.info("%s is a stand-in: no set of GenomicsBenchmarks", self.dataset)
        if stage is None and self.folds > 1:
            what = "cross-validated on the test part"
            log.info("%s: %s, fold %d of 0 to %d", self.dataset, what, self.fold, self.folds - 1)

    def part(self, part: str) -> Sequences:
        """Return the `train`, the `validation` or the `test` part."""
        if self.folds > 1:
            whole = load_sequences(self.dataset, "test")
            tests = evenly(whole.labels, self.folds, SPLIT_SEED) == self.fold
            known = whole.chosen(tests if part == "test" else ~tests)
        else:
            known = load_sequences(self.dataset, "test" if part == "test" else "train")
        if part == "test":
            return known
        validates = evenly(known.labels, HELD_OUT, SPLIT_SEED) == 0
        return known.chosen(validates if part == "validation" else ~validates)

    def sequences(self, part: str) -> Iterator[Batch]:
        """Yield all sequences of a part in their order; the last batch may be smaller."""
        whole = self.part(part)
        pieces = zip(whole.tokens.split(self.batch), whole.labels.split(self.batch), strict=True)
        for tokens, labels in pieces:
            yield _batch(Sequences(tokens, labels))

    def train_dataloader(self) -> DataLoader[Batch]:
        """Return the batches from the trainer's step on, so that a resumed run is the same run."""
        place = place_of(self.trainer)
        batches = SequenceBatches(self.part("train"), batch=self.batch, seed=self.seed, **place)
        return from_here_on(batches, self.steps, self.trainer, self.workers)
