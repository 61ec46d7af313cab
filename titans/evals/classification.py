"""Accuracy of a classifier over all test sequences, and which classes it confuses."""

import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor
from torchmetrics import MetricCollection
from torchmetrics.classification import (
    MulticlassAccuracy,
    MulticlassConfusionMatrix,
    MulticlassMatthewsCorrCoef,
)

from titans.evals.score import Score
from titans.tasks import Classify


@runtime_checkable
class Parts(Protocol):
    """Where the sequences come from."""

    classes: tuple[str, ...]
    protocol: str

    def sequences(self, part: str) -> Iterable[dict[str, Tensor]]:
        """All sequences of the part `"test"`, batch by batch, as `tokens` and `labels`."""


class Classification:
    """Top-1 accuracy in percent, and the Matthews correlation coefficient (-1 to 1).

    Args:
        sequences: where the test sequences come from.
        dataset: what the scores are named after.
        picture: a PNG of the confusion matrix; None for none.
    """

    def __init__(
        self,
        sequences: Parts,
        *,
        dataset: str,
        picture: str | None = None,
    ) -> None:
        self.sequences, self.dataset, self.picture = sequences, dataset, picture

    @torch.no_grad()
    def __call__(self, task: Classify) -> Iterator[Score]:
        """Yields both with the sequences behind them, and the best accuracy of the validation."""
        began, classes = time.monotonic(), len(self.sequences.classes)
        accuracy = MulticlassAccuracy(classes, average="micro")
        matrix = MulticlassConfusionMatrix(classes)
        correlation = MulticlassMatthewsCorrCoef(classes)
        metrics = MetricCollection([accuracy, correlation, matrix], compute_groups=False)
        metrics.to(task.device)
        network = task.network.eval()
        for batch in self.sequences.sequences("test"):
            logits = network(batch["tokens"].to(task.device))
            metrics.update(logits.argmax(-1), batch["labels"].to(task.device))
        confusion = matrix.compute()
        counts = {
            "sequences": int(confusion.sum()),
            "seconds": round(time.monotonic() - began, 2),
        }
        protocol = self.sequences.protocol + ("fine_tuned_" if task.fine_tuned else "")
        name = f"{self.dataset}/{protocol}"
        yield Score(f"{name}acc", 100 * float(accuracy.compute()), counts)
        yield Score(f"{name}mcc", float(correlation.compute()), counts)
        if torch.isfinite(task.best_error):
            yield Score(f"{name}validation_acc", 100 - float(task.best_error), {})
        if self.picture:
            self._draw(matrix, protocol, Path(self.picture))

    def _draw(self, matrix: MulticlassConfusionMatrix, protocol: str, path: Path) -> None:
        # Matplotlib takes a second to import, which only a picture is worth.
        from matplotlib.figure import Figure

        figure = Figure(figsize=(5, 5), layout="constrained")
        axes = figure.subplots()
        matrix.plot(ax=axes, labels=list(self.sequences.classes), cmap="Blues")
        axes.set_title(f"{self.dataset}\n{protocol.replace('_', ' ')}test")
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=100, metadata={"Software": None})
