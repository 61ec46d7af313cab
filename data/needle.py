"""Needles in haystacks: the training batches of the RULER needle tasks."""

import random
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from lightning import LightningDataModule
from tokenizers import Tokenizer
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from data import haystack
from data.prompt import IGNORED, Encode, Haystack, Tokens, Writer
from data.steps import accumulation, from_here_on, part_of, place_of
from data.tokenizer import FOLDER, load_tokenizer
from data.words import KINDS

Batch = dict[str, Tensor]


def encode(tokenizer: Tokenizer, text: str) -> list[int]:
    """Tokenise a piece of a text, adding nothing."""
    ids: list[int] = tokenizer.encode(text, add_special_tokens=False).ids
    return ids


class NeedleBatches(Dataset[Batch]):
    """Item i is a batch of the whole run, a function of the seed, the step and the rank alone.

    The prompts of a step are divided among the ranks and the batches that it accumulates: each rank
    writes them all, and takes its own.
    """

    def __init__(
        self,
        writers: Mapping[str, Writer],
        weights: Mapping[str, float],
        curriculum: Mapping[int, int],
        *,
        needles_from: Mapping[str, int],
        tokens_per_batch: int,
        needles_per_prompt: int,
        least_prompts: int,
        vary: float,
        end: int,
        seed: int,
        rank: int,
        ranks: int,
        accumulate: int,
    ) -> None:
        self.writers, self.weights, self.curriculum = writers, weights, curriculum
        self.tokens_per_batch, self.needles_per_prompt = tokens_per_batch, needles_per_prompt
        self.needles_from = needles_from
        self.least_prompts, self.vary, self.end = least_prompts, vary, end
        self.seed, self.rank, self.ranks, self.accumulate = seed, rank, ranks, accumulate

    def __getitem__(self, index: int) -> Batch:
        """Return `tokens` and `targets`, both [batch, time], and `asked`; see `part_of`.

        Raises:
            ValueError: no needle fits the length.
        """
        step, part = divmod(index, self.accumulate)
        rng = random.Random(f"{self.seed}/{step}/0")
        longest = self.length(step)
        due = [name for name in self.writers if self.needles_from.get(name, 0) <= longest]
        due = [name for name in due if self.writers[name].shortest <= longest]
        if not due:
            raise ValueError(f"No needle fits {longest} tokens: begin with a longer length.")
        count = prompts_at(longest, self.tokens_per_batch, self.least_prompts)
        weights = [self.weights[name] for name in due]
        rows = [self._row(name, longest, rng) for name in rng.choices(due, weights, k=count)]
        time = max(len(tokens) for tokens, _ in rows)
        whole = {
            "tokens": stack([tokens for tokens, _ in rows], time, self.end),
            "targets": stack([targets for _, targets in rows], time, IGNORED),
        }
        return part_of(whole, part * self.ranks + self.rank, self.ranks * self.accumulate)

    def _row(self, name: str, longest: int, rng: random.Random) -> tuple[Tokens, Tokens]:
        """Write a prompt of its own length: answers stand at any place of a segment and chunk."""
        writer = self.writers[name]
        length = longest - rng.randrange(1 + int(self.vary * longest))
        needles = rng.randint(1, self.needles_per_prompt)
        return writer.write(max(length, writer.shortest), needles, rng)

    def length(self, step: int) -> int:
        """Return the longest length of an optimiser step; a prompt may be shorter."""
        return max((start, length) for length, start in self.curriculum.items() if start <= step)[1]


def prompts_at(length: int, tokens: int, least: int) -> int:
    """Return how many prompts a step of about so many `tokens` has, and at least as many."""
    return max(least, tokens // length)


def stack(rows: Sequence[Tokens], time: int, fill: int) -> Tensor:
    """Stack rows of unequal length, filled at their ends, where nothing is asked any more."""
    filled = np.full((len(rows), time), fill, np.int64)
    for row, tokens in zip(filled, rows, strict=True):
        row[: len(tokens)] = tokens
    return torch.from_numpy(filled)


class NeedleData(LightningDataModule):
    """RULER's needle prompts for training; lengths follow a curriculum.

    Args:
        tokenizer: a tokenizer folder; byte-level, with digits apart, as ours is.
        length: the longest prompt in tokens.
        curriculum: longest length -> the optimiser step at which it starts; lengths above `length`
            are cut to it. None trains at `length` throughout.
        tokens_per_batch: about how many tokens a batch has.
        needles: needle type -> its weight in the mixture. A type too long for the current length
            waits until the curriculum has room for it.
        needles_from: needle type -> the curriculum's length from which it is in the mixture.
        needles_per_prompt: at most so many are hidden in one prompt, and each is asked for.
        least_prompts: prompts of a batch, where `tokens_per_batch` has no room for as many.
        vary: share by which a prompt may be shorter than the curriculum says.
        prose: a file of prose; None looks where `data.haystack.source` says.
        seed: with the step and the rank, decides a batch.
        steps: the number of optimiser steps.
        workers: processes that prepare batches.
        micro_batch: of the longest prompts a device goes through so many at once, at most; None for
            its share.

    Raises:
        ValueError: a number is out of range, or there is no needle or no length to train on.
    """

    def __init__(
        self,
        *,
        tokenizer: str | Path = FOLDER,
        length: int = 2048,
        curriculum: Mapping[int, int] | None = None,
        tokens_per_batch: int = 16_384,
        needles: Mapping[str, float] | None = None,
        needles_from: Mapping[str, int] | None = None,
        needles_per_prompt: int = 1,
        least_prompts: int = 1,
        vary: float = 0.0,
        prose: str | None = None,
        seed: int = 0,
        steps: int = 1000,
        workers: int = 0,
        micro_batch: int | None = None,
    ) -> None:
        super().__init__()
        if (
            min(length, tokens_per_batch, needles_per_prompt, least_prompts) < 1
            or not 0 <= vary < 1
        ):
            raise ValueError(
                "length, tokens_per_batch, needles_per_prompt and least_prompts of task.data are 1 "
                "or more, and vary is a share below 1"
            )
        self.tokenizer = load_tokenizer(tokenizer)
        self.needles = check_needles(needles or {"niah_single_1": 1.0})
        self.curriculum = check_curriculum(curriculum or {length: 0}, length)
        self.tokens_per_batch, self.needles_per_prompt = tokens_per_batch, needles_per_prompt
        self.least_prompts = least_prompts
        self.vary, self.needles_from = vary, dict(needles_from or {})
        self.prose, self.seed, self.steps, self.workers = prose, seed, steps, workers
        self.micro_batch = micro_batch
        self.writers: dict[str, Writer] = {}

    def accumulation(self, ranks: int) -> int:
        """Return how many batches a step has on each of so many devices; see `data.steps`."""
        fewest = prompts_at(max(self.curriculum), self.tokens_per_batch, self.least_prompts)
        return accumulation(fewest, ranks, self.micro_batch)

    def setup(self, stage: str | None = None) -> None:
        """Tokenise the pieces prompts are made of."""
        if self.writers:
            return
        tokens = partial(encode, self.tokenizer.backend_tokenizer)
        texts: dict[bool, Haystack] = {}
        for name in self.needles:
            noise = name == "niah_single_1"
            if noise not in texts:
                texts[noise] = self._haystack(noise, tokens)
            end = self.tokenizer.eos_token_id
            self.writers[name] = Writer(name, texts[noise], tokens, end)

    def _haystack(self, noise: bool, tokens: Encode) -> Haystack:
        longest = max(self.curriculum)
        if noise:
            return Haystack([haystack.NOISE], "\n", tokens, longest)
        _, training = haystack.prose(self.prose)
        return Haystack(haystack.sentences(training), " ", tokens, longest)

    def batches(self) -> NeedleBatches:
        """Return every batch of the run, by step."""
        self.setup()
        return NeedleBatches(
            self.writers,
            self.needles,
            self.curriculum,
            needles_from=self.needles_from,
            tokens_per_batch=self.tokens_per_batch,
            needles_per_prompt=self.needles_per_prompt,
            least_prompts=self.least_prompts,
            vary=self.vary,
            end=self.tokenizer.eos_token_id,
            seed=self.seed,
            **place_of(self.trainer),
        )

    def train_dataloader(self) -> DataLoader[Batch]:
        """Return the batches from the trainer's step on, so that a resumed run is the same run."""
        return from_here_on(self.batches(), self.steps, self.trainer, self.workers)


def check_needles(needles: Mapping[str, float]) -> dict[str, float]:
    """Return the needle types with a weight, or say which there are."""
    unknown = set(needles) - set(KINDS)
    if unknown:
        raise ValueError(f"{sorted(unknown)} are none of the needles {', '.join(KINDS)}.")
    chosen = {str(name): float(weight) for name, weight in needles.items() if weight > 0}
    if not chosen:
        raise ValueError("No needle has a weight above zero: set one in task.needles.")
    return chosen


def check_curriculum(curriculum: Mapping[int, int], longest: int) -> dict[int, int]:
    """Return length -> first step, no length above `longest`, one of them from step 0."""
    starts: dict[int, int] = {}
    for length, step in curriculum.items():
        cut = min(int(length), longest)
        starts[cut] = min(int(step), starts.get(cut, int(step)))
    if 0 not in starts.values():
        raise ValueError(f"The curriculum {starts} names no length for step 0.")
    return starts
