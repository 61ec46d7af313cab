"""Perplexity by length: the same tokens at every length, each sequence begun anew."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from titans.evals import ContextPerplexity, Score
from titans.mixers import LMM
from titans.models import Backbone, LanguageModel
from titans.tasks import NextToken

VOCABULARY, LENGTHS = 20, [16, 64]
TOKENS = np.random.default_rng(0).integers(0, VOCABULARY, 150)


class Stream:
    def __len__(self) -> int:
        return len(TOKENS)

    def read(self, start: int, stop: int) -> np.ndarray:
        return TOKENS[start:stop]


class Text:
    name, end, tokenizer = "some", 0, "{}"

    def held_out_documents(self, most_tokens: int | None) -> None:
        raise AssertionError("documents are not asked for")

    def stream(self, part: str) -> Stream:
        assert part == "validation"
        return Stream()


@pytest.fixture
def network() -> LanguageModel:
    torch.manual_seed(0)
    return LanguageModel(VOCABULARY, Backbone(8, 1, {"mixer": lambda: LMM(8)})).double()


def losses(network: LanguageModel, length: int) -> np.ndarray:
    """Of the 128 tokens that fill both sequences of the longest length."""
    with torch.no_grad():
        return np.stack(
            [
                F.cross_entropy(
                    network(torch.tensor(TOKENS[None, start : start + length]))[0][0],
                    torch.tensor(TOKENS[start + 1 : start + length + 1]),
                    reduction="none",
                ).numpy()
                for start in range(0, 128, length)
            ]
        )


def scores(network: LanguageModel, **settings: int) -> dict[str, Score]:
    task = NextToken(network, torch.optim.AdamW, steps=1, warmup=0)
    made = ContextPerplexity(Text(), lengths=LENGTHS, **{"piece": 8, **settings})
    return {score.name: score for score in made(task)}


@pytest.mark.parametrize("batch", [1, 3])
def test_each_length_scores_the_same_tokens(network: LanguageModel, batch: int) -> None:
    found = scores(network, batch=batch)
    for length in LENGTHS:
        expected = math.exp(losses(network, length).mean())
        assert found[f"context/{length}"].value == pytest.approx(expected, rel=1e-5)
        assert found[f"context/{length}"].counts["tokens"] == 128


def test_octaves_of_the_longest_have_scores_of_their_own(network: LanguageModel) -> None:
    found, expected = scores(network), losses(network, 64)
    octaves = {8: (0, 8), 16: (8, 16), 32: (16, 32), 64: (32, 64)}
    assert [name for name in found if "position" in name] == [f"position/{n}" for n in octaves]
    for stop, (start, end) in octaves.items():
        mean = math.exp(expected[:, start:end].mean())
        assert found[f"position/{stop}"].value == pytest.approx(mean, rel=1e-5)


@pytest.mark.parametrize("lengths", [[12], [16, 24]])
def test_lengths_that_do_not_divide_are_refused(lengths: list[int]) -> None:
    with pytest.raises(ValueError, match=r"multiple.*set for instance"):
        ContextPerplexity(Text(), lengths=lengths, piece=8)


def test_a_part_that_is_too_short_is_refused(network: LanguageModel) -> None:
    task = NextToken(network, torch.optim.AdamW, steps=1, warmup=0)
    with pytest.raises(ValueError, match=r"150 tokens.*shorter task\.lengths"):
        list(ContextPerplexity(Text(), lengths=[256], piece=8)(task))
