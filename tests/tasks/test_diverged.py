"""The batch at which a loss is no number is kept, and the error says where."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback, LightningDataModule, Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader

from titans.tasks import DivergedError, Forecast, KeepDivergedBatch

WRONG = 3


class Root(nn.Module):
    """Infinite, or with an infinite slope, where a parameter is."""

    def __init__(self, gradient: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
        self.gradient = gradient

    def forward(self, past: Tensor) -> Tensor:
        if self.gradient:
            # The slope of a root at nought: infinite times nought.
            return torch.sqrt(past.abs() * self.weight.abs())
        return past * self.weight


class Data(LightningDataModule):
    """Batches numbered by their values, of which one has something wrong in it."""

    def __init__(self, wrong: float) -> None:
        super().__init__()
        self.wrong = wrong

    def train_dataloader(self) -> DataLoader[dict[str, Tensor]]:
        batches = []
        for number in range(6):
            past = torch.full((2, 4, 1), number + 1.0)
            past[1, 2] = self.wrong if number == WRONG else 1.0
            batches.append({"past": past, "future": torch.zeros(2, 4, 1)})
        return DataLoader(batches, batch_size=None)  # type: ignore[arg-type]

    def windows(self, part: str) -> DataLoader[dict[str, Tensor]]:
        return self.train_dataloader()


def train(
    folder: Path, wrong: float, *, gradient: bool = False, accumulate: int = 1, clip: float = 0
) -> None:
    task = Forecast(Root(gradient), partial(torch.optim.SGD, lr=1e-6), epochs=1, patience=9)
    callbacks: list[Callback] = [KeepDivergedBatch(folder)]
    trainer = Trainer(
        accelerator="cpu", max_steps=6 // accumulate, max_epochs=-1, logger=False,
        callbacks=callbacks, accumulate_grad_batches=accumulate, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, gradient_clip_val=clip,
    )  # fmt: skip
    trainer.fit(task, Data(wrong))


def fit(folder: Path, wrong: float, **settings: Any) -> DivergedError:
    with pytest.raises(DivergedError) as diverged:
        train(folder, wrong, **settings)
    return diverged.value


@pytest.mark.fault(
    "a loss that is NaN or infinite", "said with its step and a mend, recorded, the batch kept"
)
@pytest.mark.parametrize("wrong", [torch.nan, torch.inf])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_the_batch_is_kept(tmp_path: Path, wrong: float, accumulate: int) -> None:
    error = fit(tmp_path, wrong, accumulate=accumulate)
    path = tmp_path / "diverged.pt"
    step, number = divmod(WRONG, accumulate)
    assert f"the loss is {'nan' if wrong != wrong else 'inf'} at step {step}: lower" in str(error)
    assert str(error).endswith(f"; the batch is in {path}")
    kept = torch.load(path, weights_only=True)
    assert (kept["step"], kept["batch_of_step"]) == (step, number)
    assert kept["batch"]["past"][0, 0].item() == WRONG + 1
    assert not torch.isfinite(kept["batch"]["past"]).all()


@pytest.mark.fault("a gradient that is NaN", "said with its step, the batch kept")
def test_the_batch_of_a_gradient_too(tmp_path: Path) -> None:
    error = fit(tmp_path, 0.0, gradient=True)
    assert f"the gradient is nan at step {WRONG}" in str(error)
    kept = torch.load(tmp_path / "diverged.pt", weights_only=True)
    assert kept["batch"]["past"][0, 0].item() == WRONG + 1


@pytest.mark.fault("a full disk while a diverged batch is kept", "both are said")
def test_what_cannot_be_kept_is_said_and_hides_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(content: object, path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    error = fit(tmp_path, torch.nan)
    assert "the loss is nan" in str(error)
    assert "the batch is in" not in str(error)
    assert "not kept: [Errno 28] No space left" in caplog.text
    assert not list(tmp_path.iterdir())


@pytest.mark.fault("a gradient that explodes", "said once, with its step and a mend")
@pytest.mark.parametrize(("clip", "said"), [(1, True), (1e9, False), (0, False)])
def test_a_gradient_that_explodes_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, clip: float, said: bool
) -> None:
    train(tmp_path, 1e6, clip=clip)
    line = f"at step {WRONG}, and is clipped to 1: if that goes on, steps follow noise: lower"
    assert (line in caplog.text, caplog.text.count("steps follow noise")) == (said, int(said))
