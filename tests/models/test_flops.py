"""Operations by formula against those that PyTorch counts, at scale tiny."""

from collections.abc import Callable

import hydra
import pytest
import torch
from omegaconf import DictConfig
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from titans.models import LanguageModel
from titans.models.flops import flops_per_token

LENGTH = 256


def counted(network: LanguageModel, *, gradient: bool) -> float:
    """Operations a token of sequences whose attention is made of plain products."""
    tokens = torch.zeros(1, LENGTH, dtype=torch.long)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        logits, _ = network(tokens)
        if gradient:
            logits.sum().backward()
    return counter.get_total_flops() / LENGTH


def made(compose: Callable[..., DictConfig], model: str) -> LanguageModel:
    network = compose(f"model={model}", "scale=tiny").task.network
    return hydra.utils.instantiate(network, _convert_="all")


@pytest.mark.parametrize("model", ["lmm", "mac", "mag", "mal", "transformer", "samba"])
@pytest.mark.parametrize("gradient", [False, True])
def test_the_formula_counts_what_is_counted(
    compose: Callable[..., DictConfig], model: str, gradient: bool
) -> None:
    network = made(compose, model)
    expected = counted(network, gradient=gradient)
    assert flops_per_token(network, LENGTH, gradient=gradient) == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize("model", ["mamba2", "gated_deltanet", "hyena", "ttt", "retnet"])
def test_of_a_baseline_only_the_recurrence_is_left_out(
    compose: Callable[..., DictConfig], model: str
) -> None:
    network = made(compose, model)
    found = flops_per_token(network, LENGTH, gradient=False)
    assert 0.55 < found / counted(network, gradient=False) <= 1


def test_a_longer_context_costs_attention_more(compose: Callable[..., DictConfig]) -> None:
    transformer, lmm = made(compose, "transformer"), made(compose, "lmm")
    assert flops_per_token(transformer, 2048) > 1.5 * flops_per_token(transformer, 256)
    assert flops_per_token(lmm, 2048) == flops_per_token(lmm, 256)
