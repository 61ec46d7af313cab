"""Accuracy, correlation and confusion over all test sequences, whatever their batches."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from sklearn.metrics import accuracy_score, matthews_corrcoef
from torch import Tensor, nn

from titans.evals import Classification
from titans.tasks import Classify

CLASSES = ("a", "b", "c")


class Parts:
    """Random tokens, whose class is mostly the first of them."""

    classes = CLASSES
    protocol = "stand_in_"

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        self.tokens = torch.randint(0, 3, (53, 4), generator=generator)
        self.labels = self.tokens[:, 0].clone()
        self.labels[::5] = 1

    def sequences(self, part: str) -> Iterator[dict[str, Tensor]]:
        assert part == "test"
        for tokens, labels in zip(self.tokens.split(10), self.labels.split(10), strict=True):
            yield {"tokens": tokens, "labels": labels}


class First(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, tokens: Tensor) -> Tensor:
        return self.scale * nn.functional.one_hot(tokens[:, 0], len(CLASSES)).float()


@pytest.fixture
def task() -> Classify:
    return Classify(First(), torch.optim.Adam, epochs=1)


def test_the_scores_are_those_of_another_library(task: Classify) -> None:
    parts = Parts()
    scores = {s.name: s for s in Classification(parts, dataset="some")(task)}
    assert scores.keys() == {"some/stand_in_acc", "some/stand_in_mcc"}
    truth, guess = parts.labels.numpy(), parts.tokens[:, 0].numpy()
    accuracy, correlation = scores.values()
    assert accuracy.value == pytest.approx(100 * accuracy_score(truth, guess))
    assert correlation.value == pytest.approx(matthews_corrcoef(truth, guess))
    assert accuracy.counts["sequences"] == len(truth)


def test_the_validation_is_shown_once_there_is_one(task: Classify) -> None:
    task.best_error.fill_(25.0)
    scores = {s.name: s.value for s in Classification(Parts(), dataset="some")(task)}
    assert scores["some/stand_in_validation_acc"] == 75.0


def test_a_checkpoint_says_with_what_its_training_began(task: Classify) -> None:
    """Whatever the command that scores it says."""
    checkpoint: dict[str, Any] = {"state_dict": task.state_dict(), "global_step": 0}
    task.on_save_checkpoint(checkpoint)
    for content in ({"fine_tuned": True}, {"run": {"overrides": ["task.pretrained=some.ckpt"]}}):
        kept = {name: it for name, it in checkpoint.items() if name != "fine_tuned"}
        task.restore(kept | content)
        names = {s.name for s in Classification(Parts(), dataset="some")(task)}
        assert names == {"some/stand_in_fine_tuned_acc", "some/stand_in_fine_tuned_mcc"}
    task.restore(checkpoint)
    assert "some/stand_in_acc" in {s.name for s in Classification(Parts(), dataset="some")(task)}


def test_a_picture_is_drawn(task: Classify, tmp_path: Path) -> None:
    path = tmp_path / "folder" / "confusion.png"
    list(Classification(Parts(), dataset="some", picture=str(path))(task))
    assert path.read_bytes().startswith(b"\x89PNG")
