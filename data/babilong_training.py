"""BABILong's training part: stories in a text that grows by segments."""

import logging
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
from lightning import LightningDataModule
from torch.utils.data import DataLoader, Dataset

from data.babi import Story
from data.babilong import Babilong
from data.background import Background, Tokens
from data.needle_batches import Batch, stack
from data.prompt import IGNORED
from data.stages import Stages, check_stages, length_at
from data.steps import accumulation, from_here_on, part_of, place_of
from data.trained_on import refuse_other

# Stories are drawn again where they do not fit a length.
ATTEMPTS = 1000

log = logging.getLogger(__name__)


class BabilongBatches(Dataset[Batch]):
    """Item i is a batch of the whole run, a function of the seed, the step and the rank alone.

    The prompts of a step are divided among the ranks and the batches that it accumulates: each rank
    writes them all, and takes its own. They have the same number of segments: any from none, the
    facts alone, to as many as the curriculum has come to, each as often. Their last segment is not
    full, so that answers stand at any place of it.
    """

    def __init__(
        self,
        source: Babilong,
        background: Background,
        *,
        length: int,
        curriculum: Stages,
        segment: int,
        tokens_per_batch: int,
        least_prompts: int,
        seed: int,
        rank: int,
        ranks: int,
        accumulate: int,
    ) -> None:
        self.stories, self.form, self.background = source.facts.train, source.form, background
        self.length, self.curriculum, self.segment = length, curriculum, segment
        self.tokens_per_batch, self.least_prompts = tokens_per_batch, least_prompts
        self.seed, self.rank, self.ranks, self.accumulate = seed, rank, ranks, accumulate

    def __getitem__(self, index: int) -> Batch:
        """Return `tokens` and `targets`, both [batch, time], and `asked`; see `part_of`."""
        step, part = divmod(index, self.accumulate)
        rng = random.Random(f"{self.seed}/{step}/0")
        segments = rng.randint(0, self.segments(step))
        rows = list(self._rows(segments, rng))
        time = max(len(tokens) for tokens, _ in rows)
        whole = {
            "tokens": stack([tokens for tokens, _ in rows], time, self.form.subwords.end),
            "targets": stack([targets for _, targets in rows], time, IGNORED),
        }
        return part_of(whole, part * self.ranks + self.rank, self.ranks * self.accumulate)

    def segments(self, step: int) -> int:
        """Return the most segments of an optimiser step."""
        return -(-length_at(step, self.curriculum, self.length) // self.segment)

    def _rows(self, segments: int, rng: random.Random) -> Iterator[tuple[Tokens, Tokens]]:
        """Yield prompts as long as they and their padding fit the batch."""
        longest, count = 0, 0
        while True:
            length = segments * self.segment - rng.randrange(self.segment) if segments else 0
            row = self._row(self._story(segments * self.segment, rng), length, rng)
            longest = max(longest, len(row[0]))
            if count >= self.least_prompts and (count + 1) * longest > self.tokens_per_batch:
                return
            yield row
            count += 1

    def _story(self, most: int, rng: random.Random) -> Story:
        """Draw a story of at most so many tokens; of any length where 0 are asked for."""
        for _ in range(ATTEMPTS):
            story = rng.choice(self.stories)
            if not most or self.form.shortest(story) <= most:
                return story
        raise ValueError(f"no story fits {most} tokens: set task.segment to more")

    def _row(self, story: Story, length: int, rng: random.Random) -> tuple[Tokens, Tokens]:
        """The tokens of a story, its question and its answer, which alone has targets."""
        length = max(length, self.form.shortest(story)) if length else 0
        prompt = self.form.prompt(story, self.background, length, rng)
        answer = self.form.answer(story)
        text = np.concatenate([prompt.read(0, len(prompt)), answer])
        targets = np.full(len(text) - 1, IGNORED, np.int64)
        targets[-len(answer) :] = answer
        return text[:-1], targets


class BabilongData(LightningDataModule):
    """Training prompts of a task of BABILong.

    Args:
        source: stories and background.
        length: the longest prompt in tokens.
        curriculum: stages before that: the longest prompt, 0 for the facts alone, and for how many
            optimiser steps.
        segment: lengths grow by so many tokens.
        tokens_per_batch: about how many tokens a batch has.
        least_prompts: of a batch, where `tokens_per_batch` has no room for as many.
        checkpoint: what is scored instead of training; None for a run that trains.
        seed: with the step and the rank, decides a batch.
        steps: the number of optimiser steps.
        workers: processes that prepare batches.
        micro_batch: of `least_prompts` a device goes through so many at once, at most; None for its
            share.

    Raises:
        ValueError: few-shot without a trained model, or a curriculum that is none.
    """

    def __init__(
        self,
        source: Babilong,
        *,
        length: int = 1024,
        curriculum: Stages = (),
        segment: int = 128,
        tokens_per_batch: int = 4096,
        least_prompts: int = 4,
        checkpoint: str | None = None,
        seed: int = 0,
        steps: int = 1000,
        workers: int = 0,
        micro_batch: int | None = None,
    ) -> None:
        super().__init__()
        if source.setup == "few_shot" and not checkpoint:
            raise ValueError(
                "few-shot asks a model that is trained already: set evaluate_only to a checkpoint "
                "of task=lm, and task.tokenizer and task.vocabulary as it has them"
            )
        if min(segment, tokens_per_batch, least_prompts) < 1:
            raise ValueError(
                "task.segment, and tokens_per_batch and least_prompts of task.data, are 1 or more"
            )
        check_stages(curriculum, 0, length)
        self.source, self.segment, self.seed = source, segment, seed
        self.length, self.curriculum = length, curriculum
        self.tokens_per_batch, self.least_prompts = tokens_per_batch, least_prompts
        self.steps, self.workers, self.micro_batch = steps, workers, micro_batch

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps of it: which data it is of."""
        return {"task.dataset": self.source.dataset, "task.facts": self.source.facts_name}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Refuse a checkpoint of other data.

        Raises:
            ValueError: it is one.
        """
        refuse_other(state_dict, self.state_dict())

    def accumulation(self, ranks: int) -> int:
        """Return how many batches a step has on each of so many devices; see `data.steps`."""
        return accumulation(self.least_prompts, ranks, self.micro_batch)

    def setup(self, stage: str | None = None) -> None:
        """Read stories and background, and say which they are."""
        if hasattr(self, "background"):
            return
        log.info("BABILong %s: %s", self.source.dataset, self.source.name)
        self.background = self.source.background("train")

    def batches(self) -> BabilongBatches:
        """Return every batch of the run, by step."""
        self.setup()
        return BabilongBatches(
            self.source,
            self.background,
            length=self.length,
            curriculum=self.curriculum,
            segment=self.segment,
            tokens_per_batch=self.tokens_per_batch,
            least_prompts=self.least_prompts,
            seed=self.seed,
            **place_of(self.trainer),
        )

    def train_dataloader(self) -> DataLoader[Batch]:
        """Return the batches from the trainer's step on, so that a resumed run is the same run."""
        return from_here_on(self.batches(), self.steps, self.trainer, self.workers)
