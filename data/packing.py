"""Documents packed one behind the other into sequences of equal length, in an order by seed."""

from collections.abc import Callable, Sequence
from mmap import mmap
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from data.epochs import order
from data.stages import Stages, length_at

Tokens = NDArray[np.uint16]
Batch = dict[str, Any]
# File, type, offset and shape.
Place = tuple[str, str, int, tuple[int, ...]]


class Stream:
    """Arrays of tokens that are read as one.

    Args:
        pieces: in their order, memory-mapped where they are large.
    """

    def __init__(self, pieces: Sequence[Tokens]) -> None:
        self.pieces = list(pieces)
        self.starts = np.cumsum([0, *map(len, self.pieces)])

    def __len__(self) -> int:
        return int(self.starts[-1])

    def __reduce__(self) -> tuple[Callable[[list[Tokens | Place]], "Stream"], Any]:
        """For another process: of pieces that are whole files their places alone."""
        pieces = [
            (str(piece.filename), piece.dtype.str, piece.offset, piece.shape)
            # A part of one keeps the offset of the whole.
            if isinstance(piece, np.memmap) and isinstance(piece.base, mmap)
            else piece
            for piece in self.pieces
        ]
        return _mapped_again, (pieces,)

    def read(self, start: int, stop: int) -> NDArray[np.int64]:
        """Return the tokens from `start` to `stop`."""
        first = int(np.searchsorted(self.starts, start, side="right")) - 1
        found = []
        for begin, piece in zip(self.starts[first:], self.pieces[first:], strict=False):
            if begin >= stop:
                break
            found.append(piece[max(start - begin, 0) : stop - begin])
        return np.concatenate(found).astype(np.int64)


def _mapped_again(pieces: list[Tokens | Place]) -> Stream:
    return Stream(
        [np.memmap(it[0], it[1], "r", *it[2:]) if isinstance(it, tuple) else it for it in pieces]
    )


class PackedBatches(Dataset[Batch]):
    """Item i is a batch of the whole run, a function of the seed, the step and the rank alone.

    A step takes the next `sequences` of an endless series: one order of all sequences of the
    stream after the other, each by its epoch. They are divided among the ranks and the batches
    that a step accumulates: neither changes which sequences a step has. Batches may be cut into
    segments, each of them a batch behind the one before it. A stage of shorter sequences has as
    many more of them a step, in an order of its own.

    Args:
        stream: the training tokens.
        length: tokens of a sequence.
        sequences: of a step.
        seed: decides the order.
        curriculum: stages before sequences have their `length`: the length in each, a divisor of
            it, and for how many optimiser steps.
        rank: of this process, among `ranks`.
        ranks: processes.
        accumulate: batches of a step on each rank, each segment one.
        segments: of a sequence.

    Raises:
        ValueError: the sequences of a step cannot be divided so, or the stream has none.
    """

    def __init__(
        self,
        stream: Stream,
        length: int,
        *,
        sequences: int,
        seed: int,
        curriculum: Stages = (),
        rank: int = 0,
        ranks: int = 1,
        accumulate: int = 1,
        segments: int = 1,
    ) -> None:
        self.whole = accumulate // segments
        if sequences % (ranks * self.whole):
            raise ValueError(
                f"a step of {sequences} sequences is not to be divided among {ranks} ranks and "
                f"{self.whole} accumulated batches: set task.step_tokens to a multiple"
            )
        if len(stream) <= length:
            raise ValueError(
                f"the training part has {len(stream)} tokens, too few for a sequence of {length}: "
                "give more text (task.corpus), or set task.length"
            )
        self.stream, self.length, self.sequences, self.seed = stream, length, sequences, seed
        self.rank, self.ranks, self.accumulate = rank, ranks, accumulate
        self.segments, self.curriculum = segments, curriculum

    def __getitem__(self, index: int) -> Batch:
        """Return `tokens` and `targets`, both [batch, time], of a segment.

        With them, where there are several, whether it `continues` the batch before.
        """
        step, part = divmod(index, self.accumulate)
        part, segment = divmod(part, self.segments)
        length = length_at(step, self.curriculum, self.length)
        sequences = self.sequences * self.length // length
        first = step * sequences + part * self.ranks + self.rank
        share = range(first, (step + 1) * sequences, self.ranks * self.whole)
        rows = np.stack([self._segment(number, length, segment) for number in share])
        tokens = torch.from_numpy(rows)
        batch = {"tokens": tokens[:, :-1], "targets": tokens[:, 1:]}
        return batch if self.segments == 1 else batch | {"continues": segment > 0}

    def _segment(self, number: int, length: int, segment: int) -> NDArray[np.int64]:
        # One token more is read than is trained on: the last target.
        count = (len(self.stream) - 1) // length
        epoch, place = divmod(number, count)
        size = length // self.segments
        start = int(order(count, self.seed, epoch)[place]) * length + segment * size
        return self.stream.read(start, start + size + 1)


class FirstPass:
    """Steps over text of which no other step has seen any.

    Args:
        packed: all steps, whole.

    Raises:
        ValueError: sequences of several lengths, each of which have an order of their own.
    """

    def __init__(self, packed: PackedBatches) -> None:
        if packed.curriculum:
            raise ValueError(
                "behind stages of several lengths no text is new: set task.curriculum=[]"
            )
        self.packed = packed
        self.steps = (len(packed.stream) - 1) // (packed.length * packed.sequences)

    def __getitem__(self, step: int) -> Batch:
        """Return `tokens` and `targets` `[batch, time]` of a step.

        Raises:
            ValueError: its text was trained on before.
        """
        if step >= self.steps:
            raise ValueError(
                f"the text is through after {self.steps:,} steps, and step {step:,} has what was "
                "trained on before: set task.tokens to fewer"
            )
        return self.packed[step]
