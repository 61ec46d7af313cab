"""The benchmark's network: its sizes, and padding that is a letter of its own."""

from collections.abc import Callable
from typing import Any

import hydra
import pytest
import torch

from titans.models.genomics import CNN


def test_it_has_the_published_sizes(compose: Callable[..., Any]) -> None:
    config = compose("model=genomics/cnn", "task=genomics", "task.dataset=human_nontata_promoters")
    network = hydra.utils.instantiate(config.task.network, _convert_="all")
    shapes = [tuple(p.shape) for p in network.parameters() if p.ndim > 1]
    # 251 letters become 122, 57 and 25.
    assert shapes == [(6, 100), (16, 100, 8), (8, 16, 8), (4, 8, 8), (512, 100), (2, 512)]
    assert config.optimizer.lr == 1e-3
    assert config.optimizer.weight_decay == 0


@torch.no_grad()
def test_how_far_a_batch_is_filled_up_changes_nothing() -> None:
    torch.manual_seed(0)
    network = CNN(6, 5, 3, length=90).eval()
    tokens = torch.randint(0, 5, (4, 60))
    filled = torch.cat([tokens, torch.full((4, 20), 5)], dim=1)
    assert network(tokens).shape == (4, 3)
    torch.testing.assert_close(network(tokens), network(filled))


def test_what_is_too_short_is_refused() -> None:
    with pytest.raises(ValueError, match="sequences of 50 are too short for kernels of 8"):
        CNN(6, 5, 2, length=50)
