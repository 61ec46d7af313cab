"""GPT: padding changes nothing, and it is as large as LMM where it says so."""

from collections.abc import Callable
from typing import Any

import hydra
import pytest
import torch
from torch import nn

from data.nucleotides import PADDING
from titans.models.genomics import GPT


def parameters(compose: Callable[..., Any], model: str) -> int:
    config = compose(f"model={model}", "task=genomics", "task.dataset=human_nontata_promoters")
    with torch.device("meta"):
        network: nn.Module = hydra.utils.instantiate(config.task.network, _convert_="all")
    return sum(p.numel() for p in network.parameters())


def test_it_is_as_large_as_lmm(compose: Callable[..., Any]) -> None:
    ours = parameters(compose, "genomics/gpt")
    assert ours == pytest.approx(parameters(compose, "lmm"), rel=0.03)


@torch.no_grad()
def test_padding_changes_nothing() -> None:
    torch.manual_seed(0)
    network = GPT(6, PADDING, 3, 40, dim=16, layers=2, heads=2).eval()
    tokens = torch.randint(0, 5, (2, 20))
    tokens[1, 9:] = PADDING
    logits = network(tokens)
    filled = torch.cat([tokens, torch.full((2, 20), PADDING)], dim=1)
    torch.testing.assert_close(network(filled), logits)
    torch.testing.assert_close(network(tokens[1:, :9]), logits[1:])


def test_its_layers_begin_apart() -> None:
    first, second = GPT(6, PADDING, 3, 40, dim=16, layers=2, heads=2).blocks
    assert not torch.equal(first.linear1.weight, second.linear1.weight)  # type: ignore[arg-type]


@torch.no_grad()
def test_the_order_matters() -> None:
    torch.manual_seed(0)
    network = GPT(6, PADDING, 2, 40, dim=16, layers=2, heads=2).eval()
    tokens = torch.randint(0, 4, (1, 20))
    assert not torch.allclose(network(tokens), network(tokens.flip(1)))
