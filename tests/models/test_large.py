"""The paper's smallest models at their real widths take steps on this machine."""

from collections.abc import Callable

import hydra
import pytest
import torch
import torch.nn.functional as F
from omegaconf import DictConfig

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
    optimizer = torch.optim.AdamW(network.parameters(), lr=config.scale.lr / 10)
    tokens = torch.randint(0, config.task.vocabulary, (1, TIME + 1))
    losses = []
    for _ in range(STEPS):
        logits, _ = network(tokens[:, :-1])
        loss = F.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert torch.tensor(losses).isfinite().all()
    assert losses == sorted(losses, reverse=True), losses
