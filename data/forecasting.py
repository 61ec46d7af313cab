"""Windows of a series: a past to read, and the future to forecast."""

from collections.abc import Iterator
from typing import Any

import torch
from lightning import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader

from data.epochs import EpochBatches
from data.series import SOURCES
from data.series_file import load_series
from data.steps import accumulation, from_here_on, place_of
from data.trained_on import refuse_other

Windows = dict[str, Tensor]
PARTS = ("train", "validation", "test")
# Windows that are forecast side by side where nothing is trained.
SIDE_BY_SIDE = 32


class WindowBatches(EpochBatches):
    """Windows of a series in batches; how they are ordered is said in `EpochBatches`."""

    def __init__(self, series: Tensor, lookback: int, horizon: int, **settings: int) -> None:
        super().__init__(len(series) - lookback - horizon + 1, **settings)
        self.series, self.lookback = series, lookback
        self.offsets = torch.arange(lookback + horizon)

    def examples(self, chosen: Tensor) -> Windows:
        """Return `past` [batch, lookback, channels] and `future` [batch, horizon, channels]."""
        return _split(self.series[chosen[:, None] + self.offsets], self.lookback)


def _split(windows: Tensor, lookback: int) -> Windows:
    return {"past": windows[:, :lookback], "future": windows[:, lookback:]}


class ForecastData(LightningDataModule):
    """Windows of one of the benchmark series, split in time as the literature does.

    Args:
        dataset: a name in `data.series.SOURCES`.
        lookback: time steps that are read.
        horizon: time steps that are forecast.
        batch: training windows a step.
        epochs: passes over the training windows.
        missing: the value of cells that are missing, to be replaced by the ones before them.
        seed: with the step and the rank, decides a training batch.
        workers: processes that prepare batches.
        micro_batch: examples that a device goes through at once, at most; None for its share.

    Raises:
        ValueError: the series is unknown, or a part is too short for a window or a batch.
    """

    def __init__(
        self,
        *,
        dataset: str,
        lookback: int,
        horizon: int,
        batch: int = 32,
        epochs: int = 10,
        missing: float | None = None,
        seed: int = 0,
        workers: int = 0,
        micro_batch: int | None = None,
    ) -> None:
        super().__init__()
        if dataset not in SOURCES:
            raise ValueError(f"{dataset!r} is none of the series {', '.join(SOURCES)}")
        if min(lookback, horizon, batch) < 1:
            raise ValueError("task.lookback, task.horizon and task.training.batch are 1 or more")
        self.dataset, self.lookback, self.horizon = dataset, lookback, horizon
        self.batch, self.epochs, self.missing = batch, epochs, missing
        self.seed, self.workers = seed, workers
        self.micro_batch = micro_batch
        for part in PARTS:
            self._check_length(part)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps of it: which data it is of."""
        return {"task.dataset": self.dataset}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Refuse a checkpoint of other data.

        Raises:
            ValueError: it is one.
        """
        refuse_other(state_dict, self.state_dict())

    def _check_length(self, part: str) -> None:
        rows, window = self.rows(part), self.lookback + self.horizon
        least = window + (self.batch - 1 if part == "train" else 0)
        if len(rows) < least:
            raise ValueError(
                f"the {part} part of {self.dataset} has {len(rows)} rows, too few for a window of "
                f"{self.lookback} + {self.horizon} steps (task.lookback, task.horizon) or a batch "
                f"of {self.batch} (task.training.batch): make one of them smaller"
            )

    def rows(self, part: str) -> range:
        """Return the rows of a part; the first it forecasts follow the part before it."""
        parts, index = SOURCES[self.dataset].parts, PARTS.index(part)
        return range(max(0, sum(parts[:index]) - self.lookback), sum(parts[: index + 1]))

    @property
    def channels(self) -> tuple[str, ...]:
        """What the variables are called."""
        return SOURCES[self.dataset].columns

    @property
    def steps(self) -> int:
        """Optimiser steps of the whole run."""
        windows = len(self.rows("train")) - self.lookback - self.horizon + 1
        return self.epochs * (windows // self.batch)

    def accumulation(self, ranks: int) -> int:
        """Return how many batches a step has on each of so many devices; see `data.steps`."""
        return accumulation(self.batch, ranks, self.micro_batch)

    def setup(self, stage: str | None = None) -> None:
        """Read the series."""
        self.series = load_series(self.dataset, self.missing)

    def windows(self, part: str) -> Iterator[Windows]:
        """Yield all windows of a part in their order; the last batch may be smaller."""
        rows, length = self.rows(part), self.lookback + self.horizon
        if not hasattr(self, "series"):
            self.setup()
        windows = self.series[rows.start : rows.stop].unfold(0, length, 1)
        for batch in windows.split(max(self.batch, SIDE_BY_SIDE)):
            yield _split(batch.mT, self.lookback)

    def train_dataloader(self) -> DataLoader[Windows]:
        """Return the batches from the trainer's step on, so that a resumed run is the same run."""
        rows = self.rows("train")
        batches = WindowBatches(
            self.series[rows.start : rows.stop],
            self.lookback,
            self.horizon,
            batch=self.batch,
            seed=self.seed,
            **place_of(self.trainer),
        )
        return from_here_on(batches, self.steps, self.trainer, self.workers)
