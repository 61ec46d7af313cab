"""The settings of each forecaster by data set and horizon are the published ones."""

from collections.abc import Callable
from typing import Any

import hydra
import pytest
import torch

NAMES = ["rlinear", "patchtst", "itransformer", "tide"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("dataset", "channels"), [("ETTh1", 7), ("Weather", 21)])
def test_makes_a_forecaster(
    compose: Callable[..., Any], name: str, dataset: str, channels: int
) -> None:
    chosen = f"model=forecasting/{name}", f"task.dataset={dataset}", "task.horizon=192"
    config = compose("task=timeseries", *chosen)
    model = hydra.utils.instantiate(config.task.network, _convert_="all")
    assert model(torch.randn(2, 96, channels)).shape == (2, 192, channels)


@pytest.mark.parametrize(
    ("dataset", "horizon", "dim", "layers", "lr", "batch"),
    [
        ("ETTh1", 96, 256, 2, 1e-4, 32),
        ("ETTh1", 720, 512, 2, 1e-4, 32),
        ("ETTh2", 336, 128, 2, 1e-4, 32),
        ("Weather", 96, 512, 3, 1e-4, 32),
        ("Traffic", 96, 512, 4, 1e-3, 16),
        ("sample", 96, 128, 2, 1e-4, 32),
    ],
)
def test_of_itransformer(
    compose: Callable[..., Any],
    dataset: str,
    horizon: int,
    dim: int,
    layers: int,
    lr: float,
    batch: int,
) -> None:
    chosen = f"task.dataset={dataset}", f"task.horizon={horizon}"
    config = compose("task=timeseries", "model=forecasting/itransformer", *chosen)
    network, training = config.task.network, config.task.training
    assert (network.dim, network.mlp_width, network.layers) == (dim, dim, layers)
    assert (training.lr, training.batch) == (lr, batch)


@pytest.mark.parametrize(
    ("dataset", "expected"), [("ETTh2", (16, 4, 128, 0.3)), ("ETTm1", (128, 16, 256, 0.2))]
)
def test_of_patchtst(
    compose: Callable[..., Any], dataset: str, expected: tuple[float, ...]
) -> None:
    config = compose("task=timeseries", "model=forecasting/patchtst", f"task.dataset={dataset}")
    network = config.task.network
    assert (network.dim, network.heads, network.mlp_width, network.dropout) == expected


@pytest.mark.parametrize(
    ("dataset", "expected"),
    [("ETTh1", (5e-3, 128, 0.1)), ("ETTh2", (5e-3, 256, 0.1)), ("ECL", (1e-3, 16, 0.0))],
)
def test_of_rlinear(compose: Callable[..., Any], dataset: str, expected: tuple[float, ...]) -> None:
    config = compose("task=timeseries", "model=forecasting/rlinear", f"task.dataset={dataset}")
    training = config.task.training
    assert (training.lr, training.batch, config.task.network.dropout) == expected
    assert (training.epochs, training.patience) == (15, 10)
