"""Batches of needle prompts, each a function of its number."""

import random
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from data.prompt import IGNORED, Tokens, Writer
from data.steps import part_of

Batch = dict[str, Tensor]


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
