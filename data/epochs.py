"""The order of an epoch, and batches in it, which a resumed run finds again."""

from functools import lru_cache

import torch
from torch import Tensor
from torch.utils.data import Dataset

Batch = dict[str, Tensor]


# Of this module and not of a data set, which is handed to other processes.
@lru_cache(maxsize=2)
def order(count: int, seed: int, epoch: int) -> Tensor:
    """Return the numbers below `count` in the order that they have in an epoch."""
    generator = torch.Generator().manual_seed(hash((seed, epoch)))
    return torch.randperm(count, generator=generator)


class EpochBatches(Dataset[Batch]):
    """Item i is the whole batch of step i, a function of the seed, the step and the rank alone.

    Each epoch has an order of its own. Its last examples, too few for a batch, are left out, as in
    the literature. A batch is divided among ranks and accumulated steps: neither changes it.

    Args:
        count: examples of an epoch.
        batch: examples of a step.
        seed: with the epoch, decides the order.
        rank: of this process, among `ranks`.
        ranks: processes that train together.
        accumulate: parts of a batch that are computed one after the other.

    Raises:
        ValueError: a batch is not to be divided so.
    """

    def __init__(
        self,
        count: int,
        *,
        batch: int,
        seed: int,
        rank: int = 0,
        ranks: int = 1,
        accumulate: int = 1,
    ) -> None:
        if batch % (ranks * accumulate):
            raise ValueError(
                f"a batch of {batch} is not to be divided among {ranks} ranks and {accumulate} "
                "accumulated steps: set task.training.batch to a multiple"
            )
        self.count, self.batch, self.seed = count, batch, seed
        self.rank, self.ranks, self.accumulate = rank, ranks, accumulate

    def __getitem__(self, index: int) -> Batch:
        """Return this rank's part of a batch."""
        step, part = divmod(index, self.accumulate)
        epoch, step = divmod(step, self.count // self.batch)
        share = slice(part * self.ranks + self.rank, None, self.ranks * self.accumulate)
        first = step * self.batch
        every = order(self.count, self.seed, epoch)
        return self.examples(every[first : first + self.batch][share])

    def examples(self, chosen: Tensor) -> Batch:
        """Return the examples of these numbers `[batch]` side by side."""
        raise NotImplementedError
