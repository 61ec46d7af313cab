"""Language modelling: batches of packed documents, as many tokens a step on any hardware."""

import logging
from typing import Any

from lightning import LightningDataModule
from torch.utils.data import DataLoader

from data.packing import Batch, FirstPass, PackedBatches
from data.stages import Stages, check_stages
from data.steps import accumulation, from_here_on, place_of
from data.text import Text

log = logging.getLogger(__name__)


class LanguageData(LightningDataModule):
    """The training part of a text.

    Args:
        text: the text.
        length: tokens of a sequence.
        step_tokens: tokens of an optimiser step, on all devices together.
        batch: sequences of `length` that one device goes through at once, at most.
        tbptt: tokens of the segments that gradients are computed in, one after the other, with the
            state carried on; None for whole sequences.
        curriculum: stages before sequences have their `length`: the length in each, a divisor of
            it, and for how many optimiser steps. A step has as many tokens in each, and so has what
            a device goes through at once.
        steps: optimiser steps of the run.
        seed: with the step and the rank, decides a batch.
        workers: processes that prepare batches.

    Raises:
        ValueError: a step is no whole number of sequences, a sequence none of segments or of those
            of a stage, none fits at once, or there are both segments and stages.
    """

    def __init__(
        self,
        text: Text,
        *,
        length: int,
        step_tokens: int,
        batch: int,
        steps: int,
        tbptt: int | None = None,
        curriculum: Stages = (),
        seed: int = 0,
        workers: int = 0,
    ) -> None:
        super().__init__()
        if batch < 1:
            raise ValueError(f"hardware.micro_batch is {batch}, and should be 1 or more")
        if min(length, step_tokens) < 1 or step_tokens % length:
            raise ValueError(
                f"a step of {step_tokens} tokens is no whole number of sequences of {length}: set "
                "task.step_tokens to a multiple of task.length"
            )
        if tbptt is not None and (tbptt < 1 or length % tbptt):
            raise ValueError(
                f"task.tbptt is {tbptt}, and should divide task.length, {length}, into segments"
            )
        check_stages(curriculum, 1, length)
        if unequal := [stage[0] for stage in curriculum if length % stage[0]]:
            raise ValueError(
                f"task.curriculum has a length of {unequal[0]}, which should divide task.length, "
                f"{length}"
            )
        self.segments = length // (tbptt or length)
        if curriculum and self.segments > 1:
            raise ValueError(
                f"task.tbptt={tbptt} cuts sequences of one length: set task.curriculum=[], or "
                "task.tbptt=null"
            )
        self.text, self.length, self.sequences = text, length, step_tokens // length
        self.batch, self.steps, self.seed, self.workers = batch, steps, seed, workers
        self.curriculum = curriculum

    def accumulation(self, ranks: int) -> int:
        """Return how many batches a step has on each of so many devices; see `data.steps`."""
        return accumulation(self.sequences, ranks, self.batch) * self.segments

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps of it: how to read text as the model does, and how much of it."""
        text = self.text
        reads = {"tokenizer": text.tokenizer, "end": text.end, "length": self.length}
        of = {"corpus": text.name, "shards": text.manifest.sha256, "held_out": text.held_out}
        return reads | of

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Refuse to go on with other text, and to score what was trained on.

        Raises:
            ValueError: its documents, or the pieces that they are cut into, are others now; or of
                the same text more is held out than the checkpoint had held out.
        """
        text = self.text
        # What is only scored may read another text.
        if self.trainer is None:
            held_out = state_dict.get("held_out", text.held_out)
            # Last the name, for which the corpus is looked at: it may be gone.
            if text.held_out > held_out and state_dict.get("corpus") == text.name:
                raise ValueError(
                    f"the checkpoint was trained on all but a share of {held_out} of this text: "
                    f"more of it would be scored with task.held_out={text.held_out}, so give "
                    f"task.held_out={held_out}"
                )
            return
        own = {"tokenizer": text.tokenizer, "end": text.end, "shards": text.manifest.sha256}
        if other := [name for name, value in own.items() if state_dict.get(name, value) != value]:
            raise ValueError(
                f"task.corpus={text.corpus_name} is not as the checkpoint was trained on it (other "
                f"{', '.join(other)}): give the files and settings it had, or train anew without "
                "resume=true"
            )

    def setup(self, stage: str | None = None) -> None:
        """Tokenise or verify the shards."""
        self.stream = self.text.stream("train")
        if not self.trainer:
            # Once, before a trainer is attached.
            held_out = self.text.manifest.tokens("validation")
            log.info("text: %s, %d tokens, %d held out", self.text.name, len(self.stream), held_out)

    def batches(self) -> FirstPass:
        """Return each step whole, and those that would follow the last."""
        self.setup()
        return FirstPass(self._batches(place_of(None)))

    def train_dataloader(self) -> DataLoader[Batch]:
        """Return the batches from the trainer's step on, so that a resumed run is the same run."""
        place = {"accumulate": self.accumulation(1)} if self.trainer is None else {}
        batches = self._batches(place_of(self.trainer) | place, self.segments)
        return from_here_on(batches, self.steps, self.trainer, self.workers)

    def _batches(self, place: dict[str, int], segments: int = 1) -> PackedBatches:
        return PackedBatches(
            self.stream,
            self.length,
            sequences=self.sequences,
            seed=self.seed,
            curriculum=self.curriculum,
            segments=segments,
            **place,
        )
