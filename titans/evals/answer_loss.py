"""What prompts or text cost that a model was not trained on: what a search goes by."""

from collections.abc import Iterator, Mapping
from typing import Any, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor

from titans.evals.score import Score
from titans.tasks import NextToken
from titans.tasks.next_token import IGNORED


@runtime_checkable
class Batches(Protocol):
    """Any number of batches, each a function of its number."""

    def __getitem__(self, step: int, /) -> Mapping[str, Tensor]:
        """The batch of a step, as `tokens` and `targets` `[batch, time]`."""


@runtime_checkable
class Steps(Protocol):
    """Where prompts or text come from."""

    def batches(self) -> Batches:
        """Every step of the training, whole, and those that would come after it."""


class AnswerLoss:
    """Mean loss (nats) of the answers in the batches that would follow the last of the training.

    They are drawn as the last ones were: as long, and of the same mixture. Of text, each token is
    an answer.

    Args:
        prompts: where those of the training come from.
        steps: of the training.
        batches: how many are scored.

    Raises:
        ValueError: none is, or there are not as many.
    """

    def __init__(self, prompts: Steps, *, steps: int, batches: int) -> None:
        if batches < 1:
            raise ValueError("task.validation.batches is 1 or more")
        self.batches, self.numbers = prompts.batches(), range(steps, steps + batches)
        # What cannot be had is said before the training.
        self.batches[self.numbers[-1]]

    @torch.no_grad()
    def __call__(self, task: NextToken) -> Iterator[Score]:
        """Yields the loss, with the sequences and the tokens of answers behind it."""
        network = task.network.eval()
        loss, counts = 0.0, {"sequences": 0, "tokens": 0}
        for number in self.numbers:
            batch = self.batches[number]
            targets = batch["targets"].to(task.device)
            asked: Any = targets != IGNORED
            logits, _ = network.answers(batch["tokens"].to(task.device), asked)
            loss += float(F.cross_entropy(logits.double(), targets[asked], reduction="sum"))
            counts["sequences"] += len(targets)
            counts["tokens"] += int(asked.sum())
        yield Score("validation/error", loss / counts["tokens"], counts)
