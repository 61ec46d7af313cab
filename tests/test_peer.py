"""The layer of the other implementation trains in our network, at both of its settings."""

import sys
from collections.abc import Callable
from pathlib import Path

import hydra
import pytest
import torch
from omegaconf import DictConfig

from titans.mixers.peer import TitansPytorch

PEERS = sorted(p.stem for p in (Path(__file__).parents[1] / "conf/model/peers").glob("*.yaml"))


@pytest.mark.parametrize("peer", PEERS)
def test_trains_and_continues(compose: Callable[..., DictConfig], peer: str) -> None:
    pytest.importorskip("titans_pytorch")
    small = ["scale.dim=16", "model.chunk_size=4", "task.network.vocabulary=50"]
    config = compose("task=throughput", f"model=peers/{peer}", *small)
    config.model.batch_size = config.model.batch_size and 4
    network = hydra.utils.instantiate(config.task.network, _convert_="all")
    optimizer = torch.optim.AdamW(network.parameters())
    logits, state = network(torch.randint(50, (2, 11)))
    logits.square().mean().backward()
    optimizer.step()
    assert network(torch.randint(50, (2, 1)), state)[0].shape == (2, 1, 50)


def test_without_the_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "titans_pytorch", None)
    with pytest.raises(ValueError, match=r"\.\[peers\]"):
        TitansPytorch(16)
