"""Windows of a genome for next-nucleotide prediction, as HyenaDNA is pre-trained."""

from collections.abc import Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from data.genome import Genome
from data.genome_package import escherichia_coli
from data.genome_parts import PARTS, divide, pieces
from data.intervals import Interval
from data.markov import Markov
from data.nucleotides import PADDING, UNKNOWN, reverse_complement
from data.prompt import IGNORED
from data.stages import Stages, check_stages, length_at
from data.steps import accumulation, from_here_on, part_of, place_of
from data.store import digest
from data.trained_on import refuse_other

Batch = dict[str, Tensor]
# Draws of one window until it holds a known nucleotide.
DRAWS = 100
# Nucleotides that are in memory at a time where a whole part is read.
PIECE = 2**22


def questions(sequences: Sequence[Tensor]) -> Batch:
    """Return `tokens` and `targets` `[batch, time]`: each nucleotide is asked for, behind N first.

    What is unknown, and the padding of shorter sequences, is no target.
    """
    time = max(map(len, sequences))
    targets = torch.full((len(sequences), time), PADDING)
    for row, sequence in zip(targets, sequences, strict=True):
        row[: len(sequence)] = sequence
    tokens = torch.nn.functional.pad(targets[:, :-1], (1, 0), value=UNKNOWN)
    return {"tokens": tokens, "targets": targets.masked_fill(targets >= UNKNOWN, IGNORED)}


class NucleotideBatches(Dataset[Batch]):
    """Item i is a batch of the whole run, a function of the seed, the step and the rank alone.

    The windows of a step are divided among the ranks and the batches that it accumulates: each rank
    draws them all, and takes its own.
    """

    def __init__(
        self,
        genome: Genome,
        intervals: Sequence[Interval],
        *,
        length: int,
        curriculum: Stages,
        batch: int,
        reverse_complement: bool,
        seed: int,
        rank: int = 0,
        ranks: int = 1,
        accumulate: int = 1,
    ) -> None:
        self.genome, self.intervals = genome, intervals
        self.length, self.curriculum = length, curriculum
        self.batch, self.reverse_complement = batch, reverse_complement
        self.seed, self.rank, self.ranks, self.accumulate = seed, rank, ranks, accumulate
        self.sizes = np.array([len(interval) for interval in intervals])

    def __getitem__(self, index: int) -> Batch:
        """Return `tokens` and `targets`, both [batch, time], and `asked`; see `part_of`.

        Raises:
            ValueError: nothing but unknown nucleotides was drawn.
        """
        step, part = divmod(index, self.accumulate)
        rng = np.random.default_rng([self.seed, step, 0])
        length = length_at(step, self.curriculum, self.length)
        # Each window is as likely as another; a shorter interval is a window.
        starts = np.maximum(1, self.sizes - length + 1).cumsum()
        whole = questions([self._window(starts, length, rng) for _ in range(self.batch)])
        return part_of(whole, part * self.ranks + self.rank, self.ranks * self.accumulate)

    def _window(self, starts: np.ndarray, length: int, rng: np.random.Generator) -> Tensor:
        for _ in range(DRAWS):
            drawn = int(rng.integers(starts[-1]))
            index = int(np.searchsorted(starts, drawn, side="right"))
            interval = self.intervals[index]
            begin = drawn - (int(starts[index - 1]) if index else 0)
            end = min(begin + length, len(interval))
            tokens = self.genome.tokens(interval.along(begin, end))
            flipped = self.reverse_complement and rng.random() < 0.5
            if (tokens != UNKNOWN).any():
                return reverse_complement(tokens) if flipped else tokens
        raise ValueError(
            f"{DRAWS} windows of {self.genome.path} hold N alone: name other intervals"
        )


class NucleotideData(LightningDataModule):
    """A genome in three parts: windows for training, all nucleotides of the others for scoring.

    Args:
        fasta: a FASTA file; None for E. coli 536, which a Debian package ships.
        bed: a BED file of intervals, see `data.genome_parts.divide`; None for all contigs.
        block: nucleotides in a block, where no name in `bed` says what part an interval is of.
        length: nucleotides of a window; scoring reads such windows.
        curriculum: stages before that: the length of a window, and for how many optimiser steps.
        batch: windows of a step, at every length.
        reverse_complement: whether every other window, by chance, is read on the other strand.
        order: of the Markov model beside which a network is scored.
        seed: with the step and the rank, decides a batch.
        steps: the number of optimiser steps.
        workers: processes that prepare batches.
        micro_batch: windows that a device goes through at once, at most; None for its share.

    Raises:
        ValueError: a setting is out of range, or the genome or its intervals are refused.
    """

    def __init__(
        self,
        *,
        fasta: str | Path | None = None,
        bed: str | Path | None = None,
        block: int = 100_000,
        length: int = 512,
        curriculum: Stages = (),
        batch: int = 16,
        reverse_complement: bool = True,
        order: int = 4,
        seed: int = 0,
        steps: int = 1000,
        workers: int = 0,
        micro_batch: int | None = None,
    ) -> None:
        super().__init__()
        if length < 2 or batch < 1:
            raise ValueError("task.length is 2 or more, and task.batch 1 or more")
        check_stages(curriculum, 2, length)
        self.curriculum = curriculum
        self.fasta, self.bed, self.block, self.length = fasta, bed, block, length
        self.batch, self.reverse_complement = batch, reverse_complement
        self.markov = Markov(order)
        self.seed, self.steps, self.workers = seed, steps, workers
        self.micro_batch = micro_batch

    def accumulation(self, ranks: int) -> int:
        """Return how many batches a step has on each of so many devices; see `data.steps`."""
        return accumulation(self.batch, ranks, self.micro_batch)

    def setup(self, stage: str | None = None) -> None:
        """Find the genome and divide it.

        Raises:
            ValueError: a part has no known nucleotide.
        """
        if hasattr(self, "parts"):
            return
        self.genome = Genome(self.fasta or escherichia_coli())
        self.parts = divide(self.genome, self.bed, self.block)
        for part in PARTS:
            if not any((tokens != UNKNOWN).any() for tokens in self._stretches(part, PIECE)):
                raise ValueError(f"the {part} part of {self.genome.path} holds N alone")

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps of it: which nucleotides it was trained on."""
        self.setup()
        lengths = self.genome.lengths.values()
        bed = Path(self.bed) if self.bed else None
        return {
            "task.fasta": f"{len(lengths)} contigs of {sum(lengths):,} nucleotides",
            "task.bed": f"{bed.name} ({digest(bed)[:12]})" if bed else None,
            "task.block": self.block,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Refuse a checkpoint of a genome that is divided otherwise; in training, of any other.

        Raises:
            ValueError: it is one.
        """
        own, name = self.state_dict(), "task.fasta"
        # What is only scored may be scored on another genome.
        if self.trainer is not None or state_dict.get(name) == own[name]:
            refuse_other(state_dict, own)

    @property
    def genome_name(self) -> str:
        """What the genome is called in scores."""
        return self.genome.path.name.split(".")[0]

    def _stretches(self, part: str, length: int) -> Iterator[Tensor]:
        self.setup()
        return map(self.genome.tokens, pieces(self.parts[part], length))

    def windows(self, part: str) -> Iterator[Batch]:
        """Yield windows of a part in which each known nucleotide is a target once.

        A window has `length` nucleotides, and the latter half of them are targets; the first
        window of an interval asks for all. So a nucleotide is predicted from at least half a window
        before it, or from all that its interval has.
        """
        self.setup()
        windows = chain.from_iterable(map(self._windows_of, self.parts[part]))
        while several := list(islice(windows, self.batch)):
            batch = questions([tokens for tokens, _ in several])
            for row, (_, context) in zip(batch["targets"], several, strict=True):
                row[:context] = IGNORED
            yield batch

    def _windows_of(self, interval: Interval) -> Iterator[tuple[Tensor, int]]:
        """Windows of an interval from where its strand begins, and how much of each is context."""
        half = self.length // 2
        begun = 0
        while begun < len(interval):
            context = half if begun else 0
            end = min(begun - context + self.length, len(interval))
            yield self.genome.tokens(interval.along(begun - context, end)), context
            begun = end

    def markov_bits(self, part: str) -> float:
        """Return the bits a nucleotide of a part costs the Markov model of the training part."""
        if not self.markov.counts.any():
            self.markov.fit(self._stretches("train", PIECE))
            if self.reverse_complement:
                self.markov.fit(map(reverse_complement, self._stretches("train", PIECE)))
        return self.markov.bits(self._stretches(part, PIECE))[0]

    def train_dataloader(self) -> DataLoader[Batch]:
        """Return the batches from the trainer's step on, so that a resumed run is the same run."""
        batches = NucleotideBatches(
            self.genome,
            self.parts["train"],
            length=self.length,
            curriculum=self.curriculum,
            batch=self.batch,
            reverse_complement=self.reverse_complement,
            seed=self.seed,
            **place_of(self.trainer),
        )
        return from_here_on(batches, self.steps, self.trainer, self.workers)
