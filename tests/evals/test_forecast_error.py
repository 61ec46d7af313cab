"""Errors over all windows, whatever their batches, and the picture of some."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from titans.evals import ForecastError
from titans.models.forecasting import RLinear
from titans.tasks import Forecast

LOOKBACK, HORIZON, CHANNELS = 12, 5, 4


class Windows:
    """Random windows in batches of unequal size."""

    horizon = HORIZON
    channels = tuple(f"channel {n}" for n in range(CHANNELS))

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        self.past, self.future = (
            torch.randn(23, time, CHANNELS, generator=generator) for time in (LOOKBACK, HORIZON)
        )

    def windows(self, part: str) -> Iterator[dict[str, Tensor]]:
        assert part == "test"
        for past, future in zip(self.past.split(10), self.future.split(10), strict=True):
            yield {"past": past, "future": future}


@pytest.fixture
def task() -> Forecast:
    torch.manual_seed(0)
    network = RLinear(lookback=LOOKBACK, horizon=HORIZON, channels=CHANNELS, dropout=0.5)
    return Forecast(network, torch.optim.Adam, epochs=1)


def test_both_errors_over_all_windows(task: Forecast) -> None:
    windows = Windows()
    scores = {score.name: score for score in ForecastError(windows, dataset="some")(task)}
    with torch.no_grad():
        difference = (task.network.eval()(windows.past) - windows.future).double()
    assert scores.keys() == {"some/mse", "some/mae"}
    assert scores["some/mse"].value == pytest.approx(difference.square().mean().item(), rel=1e-6)
    assert scores["some/mae"].value == pytest.approx(difference.abs().mean().item(), rel=1e-6)
    assert scores["some/mse"].counts["windows"] == 23


def test_the_validation_error_is_shown_once_there_is_one(task: Forecast) -> None:
    task.best_error.fill_(0.25)
    scores = {score.name: score.value for score in ForecastError(Windows(), dataset="some")(task)}
    assert scores["some/validation_mse"] == 0.25


def test_a_picture_is_drawn(task: Forecast, tmp_path: Path) -> None:
    path = tmp_path / "folder" / "forecasts.png"
    list(ForecastError(Windows(), dataset="some", picture=str(path))(task))
    assert path.read_bytes().startswith(b"\x89PNG")
