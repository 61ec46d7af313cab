"""Errors of a forecaster over all test windows, in units of the training part's deviation."""

import time
from collections.abc import Iterable, Iterator
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor
from torchmetrics import MeanAbsoluteError, MeanSquaredError

from titans.evals.score import Score
from titans.shapes import Series
from titans.tasks import Forecast


@runtime_checkable
class Parts(Protocol):
    """Where the windows come from."""

    horizon: int

    def windows(self, part: str) -> Iterable[dict[str, Series]]:
        """All windows of the part `"test"`, batch by batch, as `past` and `future`."""


class ForecastError:
    """Mean squared and mean absolute error of the standardised series.

    Args:
        windows: where the test windows come from.
        dataset: what the scores are named after.
    """

    def __init__(self, windows: Parts, *, dataset: str) -> None:
        self.windows, self.dataset = windows, dataset

    def __call__(self, task: Forecast) -> Iterator[Score]:
        """Yields both errors with the windows behind them, and the error of the validation."""
        began = time.monotonic()
        squared, absolute, count = self._errors(task)
        counts = {"windows": count, "seconds": round(time.monotonic() - began, 2)}
        yield Score(f"{self.dataset}/mse", float(squared.mean()), counts)
        yield Score(f"{self.dataset}/mae", float(absolute.mean()), counts)
        if torch.isfinite(task.best_error):
            yield Score(f"{self.dataset}/validation_mse", float(task.best_error), {})

    @torch.no_grad()
    def _errors(self, task: Forecast) -> tuple[Tensor, Tensor, int]:
        """Both errors of each step of the horizon, and the number of windows."""
        network, horizon, count = task.network.eval(), self.windows.horizon, 0
        squared = MeanSquaredError(num_outputs=horizon).set_dtype(torch.float64).to(task.device)
        absolute = MeanAbsoluteError(num_outputs=horizon).set_dtype(torch.float64).to(task.device)
        for batch in self.windows.windows("test"):
            past, future = batch["past"].to(task.device), batch["future"].to(task.device)
            # Each channel of each window is a row.
            rows = network(past).mT.reshape(-1, horizon), future.mT.reshape(-1, horizon)
            squared.update(*rows)
            absolute.update(*rows)
            count += len(past)
        return squared.compute(), absolute.compute(), count
