"""The loss of answers: of batches behind the training's last, each answer's token alike."""

from math import log

import pytest
import torch
from torch import Tensor, nn

from titans.evals import AnswerLoss
from titans.models import LanguageModel
from titans.tasks import NextToken

IGNORED = -100
SHARES = torch.tensor([0.5, 0.25, 0.125, 0.125])


class Frequencies(LanguageModel):
    """Predicts the same of every token."""

    def __init__(self) -> None:
        nn.Module.__init__(self)

    def answers(self, tokens: Tensor, asked: Tensor, state: None = None) -> tuple[Tensor, None]:
        assert not self.training
        return SHARES.log().expand(int(asked.sum()), -1), None


class Prompts:
    """Has two batches behind the third step, and tells of no other."""

    def batches(self) -> dict[int, dict[str, Tensor]]:
        rows = {3: [[IGNORED, 0, 2], [IGNORED, IGNORED, 1]], 4: [[IGNORED, 3]]}
        targets = {step: torch.tensor(row) for step, row in rows.items()}
        return {s: {"tokens": torch.zeros_like(t), "targets": t} for s, t in targets.items()}


def task() -> NextToken:
    return NextToken(Frequencies(), torch.optim.SGD, steps=3, warmup=0)


def test_the_mean_is_over_the_tokens_of_answers() -> None:
    (score,) = AnswerLoss(Prompts(), steps=3, batches=2)(task())
    name, loss, counts = score
    assert name == "validation/error"
    assert loss == pytest.approx((log(2) + log(4) + 2 * log(8)) / 4)
    assert counts == {"sequences": 3, "tokens": 4}


def test_no_batch_is_refused() -> None:
    with pytest.raises(ValueError, match=r"task\.validation\.batches"):
        AnswerLoss(Prompts(), steps=3, batches=0)


def test_what_cannot_be_had_is_refused_before_it_is_scored() -> None:
    with pytest.raises(KeyError):
        AnswerLoss(Prompts(), steps=3, batches=3)
