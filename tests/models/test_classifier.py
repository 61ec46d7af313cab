"""Padding changes nothing, whatever it is and however much of it there is."""

from collections.abc import Callable
from typing import Any

import hydra
import pytest
import torch
from torch import nn

from data.nucleotides import PADDING

MIXERS = ["lmm", "mac", "mag", "mal", "transformer", "mamba", "mamba2", "based", "hyena", "ttt"]
LENGTHS = [70, 33, 1, 50]


def build(compose: Callable[..., Any], model: str) -> nn.Module:
    torch.manual_seed(0)
    config = compose(f"model={model}", "task=genomics", "task.dataset=human_ensembl_regulatory")
    return hydra.utils.instantiate(config.task.network, _convert_="all").eval()


def padded(length: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    tokens = torch.full((len(LENGTHS), length), PADDING)
    for row, letters in enumerate(LENGTHS):
        tokens[row, :letters] = torch.randint(0, 5, (letters,), generator=generator)
    return tokens


@pytest.mark.parametrize("model", MIXERS)
@torch.no_grad()
def test_padding_changes_nothing(model: str, compose: Callable[..., Any]) -> None:
    network = build(compose, model)
    tokens = padded(max(LENGTHS))
    logits = network(tokens)
    assert logits.shape == (len(LENGTHS), 3)
    torch.testing.assert_close(network(padded(131)), logits, rtol=1e-4, atol=1e-5)
    for row, length in enumerate(LENGTHS):
        alone = network(tokens[row : row + 1, :length])
        torch.testing.assert_close(alone, logits[row : row + 1], rtol=1e-4, atol=1e-5)
    # What padding is embedded as does not matter either.
    network.reader.embedding.weight[PADDING] = 100.0
    torch.testing.assert_close(network(tokens), logits, rtol=1e-4, atol=1e-5)


def test_the_mean_is_over_the_tokens_alone(compose: Callable[..., Any]) -> None:
    network = build(compose, "lmm")
    tokens = padded(max(LENGTHS))
    hidden, _ = network.reader.hidden(tokens)
    means = torch.stack([row[:n].mean(0) for row, n in zip(hidden, LENGTHS, strict=True)])
    torch.testing.assert_close(network(tokens), network.head(means))
