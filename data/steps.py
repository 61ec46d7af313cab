"""A sampler that knows where a run stands, so that a resumed run is the same run."""

from collections.abc import Iterator
from typing import Any, Protocol

from lightning import Trainer
from torch.utils.data import DataLoader, Sampler


class StepsFrom(Sampler[int]):
    """The steps from `start`; its length is that of the whole run, which Lightning counts in."""

    def __init__(self, start: int, steps: int) -> None:
        self.start, self.steps = start, steps

    def __iter__(self) -> Iterator[int]:
        """Count from the first step not yet taken."""
        return iter(range(self.start, self.steps))

    def __len__(self) -> int:
        """Return the number of steps of the whole run."""
        return self.steps


class Batches(Protocol):
    """A data set whose items are batches, `accumulate` of them a step."""

    accumulate: int

    def __getitem__(self, index: int, /) -> Any:
        """The batch of this number, counted from the run's beginning."""


def from_here_on(
    batches: Batches, steps: int, trainer: Trainer | None, workers: int
) -> DataLoader[Any]:
    """Return the batches from the trainer's step on, so that a resumed run is the same run."""
    start = trainer.global_step if trainer else 0
    order = StepsFrom(start * batches.accumulate, steps * batches.accumulate)
    return DataLoader(batches, sampler=order, batch_size=None, num_workers=workers)  # type: ignore[arg-type]
