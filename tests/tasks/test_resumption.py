"""A resumed run takes each batch once, however many of them a step accumulates by then."""

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import LightningDataModule, LightningModule
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from data.steps import from_here_on
from titans.tasks import Checkpoint, make_trainer

STEPS = 12


class Numbers(Dataset[int]):
    """Item i is i."""

    def __init__(self, accumulate: int) -> None:
        self.accumulate = accumulate

    def __getitem__(self, index: int) -> int:
        return index


class Counting(LightningDataModule):
    """Batches that are their own numbers."""

    steps = STEPS

    def __init__(self, accumulate: int) -> None:
        super().__init__()
        self.accumulate = accumulate

    def accumulation(self, ranks: int) -> int:
        return self.accumulate

    def train_dataloader(self) -> DataLoader[Any]:
        return from_here_on(Numbers(self.accumulate), STEPS, self.trainer, 0)


class Watched(LightningModule):
    """Notes its step and the one that a batch is of; stops outright at a batch."""

    def __init__(self, accumulate: int, killed_at: tuple[int, int] | None) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))
        self.accumulate, self.killed_at = accumulate, killed_at
        self.seen: list[tuple[int, int, int]] = []

    def training_step(self, number: int) -> Tensor:
        step, part = divmod(int(number), self.accumulate)
        if (step, part) == self.killed_at:
            raise KeyboardInterrupt
        self.seen.append((self.global_step, step, part))
        return self.weight.square()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def train(
    path: Path, accumulate: int, killed_at: tuple[int, int] | None = None, every: int = 4
) -> list[tuple[int, int, int]]:
    """The steps and batches of one attempt, from the checkpoint on where there is one."""
    task, data = Watched(accumulate, killed_at), Counting(accumulate)
    trainer = make_trainer(
        data, [Checkpoint(path, every)], gradient_clip=None, accelerator="cpu", devices=1
    )
    try:
        trainer.fit(task, data, ckpt_path=path if path.exists() else None, weights_only=True)
    except (KeyboardInterrupt, SystemExit):
        assert killed_at
    return task.seen


def expected(start: int, accumulate: int) -> list[tuple[int, int, int]]:
    return [(step, step, part) for step in range(start, STEPS) for part in range(accumulate)]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("before", "after"), [(4, 1), (1, 4), (2, 3), (2, 2)])
def test_another_accumulation_goes_on_at_the_same_step(
    before: int, after: int, tmp_path: Path
) -> None:
    path = tmp_path / "last.ckpt"
    train(path, before, killed_at=(5, 0))
    assert torch.load(path, weights_only=True)["global_step"] == 4
    assert train(path, after) == expected(4, after)


@pytest.mark.filterwarnings("ignore")
def test_two_kills_between_two_checkpoints_lose_no_batch(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    train(path, 2, killed_at=(5, 0))
    train(path, 2, killed_at=(4, 1))
    assert train(path, 2) == expected(4, 2)
