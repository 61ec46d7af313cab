"""The paper's smallest models at their real widths take steps on this machine."""

from collections.abc import Callable

import hydra
import pytest
import torch
from omegaconf import DictConfig

from tests.fitted import train

STEPS, TIME = 5, 256


@pytest.mark.slow
@pytest.mark.parametrize("model", ["lmm", "mac", "mag", "mal", "transformer"])
def test_the_loss_on_one_batch_falls_at_every_step(
    compose: Callable[..., DictConfig], model: str
) -> None:
    config = compose("experiment=language", f"model={model}", "scale=170m")
    torch.manual_seed(0)
    network = hydra.utils.instantiate(config.task.network, _convert_="all")
    assert 100e6 < sum(p.numel() for p in network.parameters()) < 230e6
    tokens = torch.randint(0, config.task.vocabulary, (1, TIME + 1))
    losses = train(network, tokens, STEPS, lr=config.scale.lr / 10)
    assert torch.tensor(losses).isfinite().all()
    assert losses == sorted(losses, reverse=True), losses
