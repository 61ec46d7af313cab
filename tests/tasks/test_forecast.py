"""The best weights on the validation part, patience, schedule, and resumption to the bit."""

from functools import partial
from pathlib import Path

import pytest
import torch
from lightning import Callback, LightningModule, Trainer
from torch import nn

from data.forecasting import ForecastData
from titans.models.forecasting import RLinear
from titans.tasks import Checkpoint, Forecast, load_checkpoint

LOOKBACK, HORIZON, BATCH = 24, 8, 60
PER_EPOCH = (400 - LOOKBACK - HORIZON + 1) // BATCH


class Killed(Exception):
    """Stands for a signal that leaves no time."""


class Kill(Callback):
    """Ends a run after a step, before anything else learns of it."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_start(self, trainer: Trainer, *_: object) -> None:
        if trainer.global_step == self.step:
            raise Killed


def made(
    epochs: int, *, lr: float = 0.01, dropout: float = 0.2, **settings: object
) -> tuple[Forecast, ForecastData]:
    torch.manual_seed(0)
    task = Forecast(
        RLinear(lookback=LOOKBACK, horizon=HORIZON, channels=3, dropout=dropout),
        partial(torch.optim.Adam, lr=lr),
        epochs=epochs,
        run={"seed": 5},
        **settings,  # type: ignore[arg-type]
    )
    data = ForecastData(
        dataset="sample", lookback=LOOKBACK, horizon=HORIZON, batch=BATCH, epochs=epochs, seed=5
    )
    return task, data


def fit(
    task: Forecast, data: ForecastData, *callbacks: Callback, accumulate: int = 1,
    resume: Path | None = None,
) -> Trainer:  # fmt: skip
    trainer = Trainer(
        accelerator="cpu",
        max_steps=data.steps,
        max_epochs=-1,
        callbacks=list(callbacks),
        accumulate_grad_batches=accumulate,
        logger=False,
        enable_checkpointing=any(isinstance(c, Checkpoint) for c in callbacks),
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    trainer.fit(task, data, ckpt_path=resume, weights_only=True)
    return trainer


def validation_error(network: nn.Module, data: ForecastData) -> float:
    network.eval()
    with torch.no_grad():
        errors = [(network(b["past"]) - b["future"]) ** 2 for b in data.windows("validation")]
    return torch.cat(errors).mean().item()


class Errors(Callback):
    """The validation error at the end of each epoch, computed apart."""

    def __init__(self, data: ForecastData) -> None:
        self.data, self.found = data, []

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: object) -> None:
        if trainer.global_step % PER_EPOCH == 0:
            self.found.append(validation_error(pl_module.network, self.data))
            pl_module.network.train()


pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


def test_the_weights_of_the_best_epoch_are_kept() -> None:
    task, data = made(14, lr=0.1, patience=14, schedule="constant")
    errors = Errors(data)
    fit(task, data, errors)
    assert len(errors.found) == 14
    assert errors.found.index(min(errors.found)) < 13, "nothing to choose"
    assert validation_error(task.network, data) == pytest.approx(min(errors.found))
    assert float(task.best_error) == pytest.approx(min(errors.found))


def test_the_training_ends_when_patience_does() -> None:
    task, data = made(30, lr=0.3, patience=2, schedule="constant")
    errors = Errors(data)
    trainer = fit(task, data, errors)
    best = errors.found.index(min(errors.found))
    assert task.settled
    assert trainer.global_step == task.counts["steps"] == PER_EPOCH * len(errors.found)
    assert len(errors.found) == best + 3 < 30


@pytest.mark.parametrize(
    ("schedule", "rates"),
    [("halving", [1, 1, 0.5, 0.25, 0.125]), ("constant", [1] * 5), ("cosine", [1])],
)
def test_the_learning_rate_of_each_epoch(schedule: str, rates: list[float]) -> None:
    task, data = made(5, schedule=schedule, patience=5)
    seen = []

    class Rates(Callback):
        def on_train_batch_start(self, trainer: Trainer, *_: object) -> None:
            if trainer.global_step % PER_EPOCH == 0:
                seen.append(trainer.optimizers[0].param_groups[0]["lr"] / 0.01)

    fit(task, data, Rates())
    assert seen[: len(rates)] == pytest.approx(rates)
    if schedule == "cosine":
        assert seen == sorted(seen, reverse=True)
        assert seen[-1] < 0.2


# In an epoch, at its end, where a checkpoint was just written, and past the best epoch.
@pytest.mark.parametrize("step", [4, PER_EPOCH, 2 * PER_EPOCH, 2 * PER_EPOCH + 1, 25, 40])
def test_a_killed_run_goes_on_as_if_it_had_not_been(tmp_path: Path, step: int) -> None:
    settings = {"lr": 0.1, "patience": 3, "schedule": "constant"}
    whole, data = made(20, **settings)  # type: ignore[arg-type]
    ended = fit(whole, data, Checkpoint(tmp_path / "whole.ckpt", 3)).global_step
    assert step < ended < data.steps, "patience should end it, and after the kill"

    path = tmp_path / "last.ckpt"
    with pytest.raises(Killed):
        fit(*made(20, **settings), Kill(step), Checkpoint(path, 3))  # type: ignore[arg-type]
    assert load_checkpoint(path)["global_step"] == step // 3 * 3
    resumed, data = made(20, **settings)  # type: ignore[arg-type]
    assert fit(resumed, data, Checkpoint(path, 3), resume=path).global_step == ended
    ours, theirs = resumed.state_dict(), whole.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert resumed.counts == whole.counts

    again, data = made(20, **settings)  # type: ignore[arg-type]
    assert fit(again, data, resume=path).global_step == ended, "it had settled"
    restored, _ = made(20, **settings)  # type: ignore[arg-type]
    restored.restore(load_checkpoint(path))
    for task in (again, restored):
        assert validation_error(task.network, data) == validation_error(whole.network, data)


def test_accumulation_changes_nothing() -> None:
    (one, data), (two, _) = made(2, dropout=0.0), made(2, dropout=0.0)
    fit(one, data)
    fit(two, data, accumulate=2)
    for ours, theirs in zip(one.parameters(), two.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"epochs": 0}, "epochs"),
        ({"epochs": 1, "patience": 0}, "patience"),
        ({"epochs": 1, "schedule": "up"}, "halving, constant or cosine"),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused(settings: dict[str, object], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        Forecast(nn.Linear(1, 1), torch.optim.Adam, **settings)  # type: ignore[arg-type]
