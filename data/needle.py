"""Needles in haystacks: the training data of the RULER needle tasks."""

import hashlib
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from lightning import LightningDataModule
from tokenizers import Tokenizer
from torch.utils.data import DataLoader

from data import haystack
from data.needle_batches import Batch, NeedleBatches, prompts_at
from data.prompt import Encode, Haystack, Writer
from data.steps import accumulation, from_here_on, place_of
from data.tokenizer import FOLDER, load_tokenizer
from data.words import KINDS


def encode(tokenizer: Tokenizer, text: str) -> list[int]:
    """Tokenise a piece of a text, adding nothing."""
    ids: list[int] = tokenizer.encode(text, add_special_tokens=False).ids
    return ids


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
        self.prose_sha256: str | None = None

    def accumulation(self, ranks: int) -> int:
        """Return how many batches a step has on each of so many devices; see `data.steps`."""
        fewest = prompts_at(max(self.curriculum), self.tokens_per_batch, self.least_prompts)
        return accumulation(fewest, ranks, self.micro_batch)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps of it: which prose it is trained on, if on any."""
        self.setup()
        return {"prose": self.prose_sha256} if self.prose_sha256 else {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Refuse to go on with other prose; a checkpoint may be too old to know its own.

        Raises:
            ValueError: it is another.
        """
        # What is only scored may be asked about other prose.
        if self.trainer is None:
            return
        self.setup()
        theirs, ours = state_dict.get("prose"), self.prose_sha256
        if theirs and ours and theirs != ours:
            raise ValueError(
                f"the checkpoint was trained on other prose (sha256 {theirs[:12]}) than is read "
                f"now ({ours[:12]}): set TITANS_DATA and task.prose as they were, or unset them"
            )

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
        self.prose_sha256 = hashlib.sha256(training.encode()).hexdigest()
        return Haystack(haystack.sentences(training), " ", tokens, longest)

    def batches(self) -> NeedleBatches:
        """Return every step whole, those behind the last too."""
        self.setup()
        return self._batches(place_of(None))

    def train_dataloader(self) -> DataLoader[Batch]:
        """Return the batches from the trainer's step on, so that a resumed run is the same run."""
        self.setup()
        batches = self._batches(place_of(self.trainer))
        return from_here_on(batches, self.steps, self.trainer, self.workers)

    def _batches(self, place: dict[str, int]) -> NeedleBatches:
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
            **place,
        )


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
