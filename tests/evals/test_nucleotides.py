"""Bits of a nucleotide: what is asked for counts once, whatever lies around it."""

from collections.abc import Iterator
from math import log2

import pytest
import torch
from torch import Tensor, nn

from titans.evals import NucleotideBits
from titans.models import LanguageModel
from titans.tasks import NextToken

IGNORED = -100
SHARES = torch.tensor([0.5, 0.25, 0.125, 0.0625, 0.03125, 0.03125])


class Frequencies(LanguageModel):
    """Predicts the same of every nucleotide."""

    def __init__(self, shares: Tensor) -> None:
        nn.Module.__init__(self)
        self.shares = shares

    def forward(self, tokens: Tensor, state: None = None) -> tuple[Tensor, None]:
        assert not self.training
        return self.shares.log().expand(*tokens.shape, -1), None


class Parts:
    genome_name = "some"

    def windows(self, part: str) -> Iterator[dict[str, Tensor]]:
        rows = {"validation": [[0, 0], [1, 3]], "test": [[0, IGNORED, 2], [IGNORED, 3, IGNORED]]}
        # Batches of other sizes: a nucleotide counts alike in each.
        for targets in (rows[part], rows[part][:1]):
            asked = torch.tensor(targets)
            yield {"tokens": torch.zeros_like(asked), "targets": asked}

    def markov_bits(self, part: str) -> float:
        return {"validation": 1.75, "test": 2.0}[part]


def of(network: LanguageModel) -> NextToken:
    return NextToken(network, torch.optim.SGD, steps=1, warmup=0)


def test_bits_are_of_the_nucleotides_that_are_asked_for() -> None:
    task = of(Frequencies(SHARES))
    scores = {score.name: score for score in NucleotideBits(Parts(), order=3)(task)}
    expected = {"validation": (1 + 1 + 2 + 4 + 1 + 1) / 6, "test": (1 + 3 + 4 + 1 + 3) / 5}
    for part, bits in expected.items():
        assert scores[f"some/{part}/bits"].value == pytest.approx(bits, rel=1e-6)
        mark = scores[f"some/{part}/markov3_bits"].value
        assert scores[f"some/{part}/below_markov3"].value == pytest.approx(mark - bits, abs=1e-6)
    assert scores["some/validation/bits"].counts["nucleotides"] == 6
    assert scores["some/test/bits"].counts["nucleotides"] == 5


def test_a_network_that_knows_nothing_needs_all_bits_of_its_vocabulary() -> None:
    task = of(Frequencies(torch.full((6,), 1 / 6)))
    first = next(NucleotideBits(Parts(), order=4)(task))
    assert first.value == pytest.approx(log2(6), rel=1e-6)
