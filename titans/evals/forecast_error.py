"""Errors of a forecaster over all test windows, in units of the training part's deviation."""

import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor
from torchmetrics import MeanAbsoluteError, MeanSquaredError

from titans.evals.forecast_picture import draw, example
from titans.evals.score import Score
from titans.shapes import Series
from titans.tasks import Forecast


@runtime_checkable
class Parts(Protocol):
    """Where the windows come from."""

    horizon: int
    channels: tuple[str, ...]

    def windows(self, part: str) -> Iterable[dict[str, Series]]:
        """All windows of the part `"test"`, batch by batch, as `past` and `future`."""


class ForecastError:
    """Mean squared and mean absolute error of the standardised series.

    Args:
        windows: where the test windows come from.
        dataset: what the scores are named after.
        picture: a PNG of some forecasts and of the error by step; None for none.
    """

    def __init__(self, windows: Parts, *, dataset: str, picture: str | None = None) -> None:
        self.windows, self.dataset, self.picture = windows, dataset, picture

    def __call__(self, task: Forecast) -> Iterator[Score]:
        """Yields both errors with the windows behind them, and the best error of the validation."""
        began = time.monotonic()
        horizon, count, examples = self.windows.horizon, 0, []
        squared = MeanSquaredError(num_outputs=horizon).set_dtype(torch.float64).to(task.device)
        absolute = MeanAbsoluteError(num_outputs=horizon).set_dtype(torch.float64).to(task.device)
        for past, future, forecast in self._forecasts(task):
            # Each channel of each window is a row.
            rows = forecast.mT.reshape(-1, horizon), future.mT.reshape(-1, horizon)
            squared.update(*rows)
            absolute.update(*rows)
            count += len(past)
            examples.append(example(past, future, forecast))
        errors = {"mse": squared.compute(), "mae": absolute.compute()}
        counts = {"windows": count, "seconds": round(time.monotonic() - began, 2)}
        for name, error in errors.items():
            yield Score(f"{self.dataset}/{name}", float(error.mean()), counts)
        if torch.isfinite(task.best_error):
            yield Score(f"{self.dataset}/validation_mse", float(task.best_error), {})
        if self.picture:
            title, names = f"{self.dataset}: {count} windows", self.windows.channels
            draw(examples, errors, Path(self.picture), title=title, channels=names)

    @torch.no_grad()
    def _forecasts(self, task: Forecast) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Past, future and forecast of all test windows, batch by batch."""
        network = task.network.eval()
        for batch in self.windows.windows("test"):
            past, future = batch["past"].to(task.device), batch["future"].to(task.device)
            yield past, future, network(past)
