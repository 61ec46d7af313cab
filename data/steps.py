"""Which batches a process trains on: a step is the same however many processes share it."""

from collections.abc import Iterator
from typing import Any, Protocol

from lightning import Trainer
from torch import Tensor
from torch.utils.data import DataLoader, Sampler

from data.prompt import IGNORED


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


def accumulation(sequences: int, ranks: int, most: int | None) -> int:
    """Return in how many equal batches each rank goes through its share of a step.

    Args:
        sequences: of a step, on all ranks together.
        ranks: processes that train together.
        most: sequences that a rank goes through at once, at most; None for all of its share.

    Raises:
        ValueError: the ranks cannot share the sequences, or `most` is none.
    """
    if sequences % ranks:
        raise ValueError(
            f"{ranks} devices cannot share the {sequences} sequences of a step: set "
            "hardware.trainer.devices to a number that divides them, or the task's step to a "
            "multiple (for task=lm task.step_tokens)"
        )
    if most is not None and most < 1:
        raise ValueError(f"hardware.micro_batch is {most}, and should be 1 or more")
    share = sequences // ranks
    # The fewest batches that are equal and no larger than is allowed.
    return next(n for n in range(1, share + 1) if share % n == 0 and share // n <= (most or share))


def place_of(trainer: Trainer | None) -> dict[str, int]:
    """Return which part of a step is this process's: `rank`, `ranks` and `accumulate`."""
    if trainer is None:
        return {"rank": 0, "ranks": 1, "accumulate": 1}
    return {
        "rank": trainer.global_rank,
        "ranks": trainer.world_size,
        "accumulate": trainer.accumulate_grad_batches,
    }


def part_of(step: dict[str, Tensor], part: int, parts: int) -> dict[str, Tensor]:
    """Return every `parts`-th sequence of a step, from the one numbered `part`.

    Their loss is to be divided by `asked`, the mean number of targets of a part: then the mean over
    all parts is the loss over all targets of the step, however many each part has.
    """
    asked = (step["targets"] != IGNORED).sum() / parts
    return {name: rows[part::parts] for name, rows in step.items()} | {"asked": asked}


def from_here_on(
    batches: Batches, steps: int, trainer: Trainer | None, workers: int
) -> DataLoader[Any]:
    """Return the batches from the trainer's step on, so that a resumed run is the same run."""
    start = trainer.global_step if trainer else 0
    order = StepsFrom(start * batches.accumulate, steps * batches.accumulate)
    return DataLoader(batches, sampler=order, batch_size=None, num_workers=workers)  # type: ignore[arg-type]
