"""A price on writing: on every token alike, however a mixer reads, and on nothing else."""

from collections.abc import Callable
from functools import partial
from unittest.mock import Mock

import pytest
import torch
from lightning import Trainer
from omegaconf import DictConfig
from torch.optim import SGD

from tests.tasks.test_truncated import batches, made
from titans.memory import Gates, NeuralMemory
from titans.models import recompute_blocks
from titans.tasks import NextToken
from titans.tasks.price import written_by

Compose = Callable[..., DictConfig]


@pytest.mark.parametrize("model", ["lmm", "mac", "mag", "mal"])
def test_each_token_of_each_head_and_layer_counts_alike(compose: Compose, model: str) -> None:
    network, tokens = made(compose, model), batches(64, 64)[0]["tokens"]
    with written_by(network) as written:
        network(tokens[:, :50])
    memories = [m for m in network.modules() if isinstance(m, NeuralMemory)]
    means = [memory.log["theta"] / memory.gates.max_step for memory in memories]
    assert len(means) == 2
    torch.testing.assert_close(torch.as_tensor(written.mean), torch.stack(means).mean())
    count = written.count
    network(tokens)
    assert written.count == count


def test_a_model_without_a_memory_writes_nothing(compose: Compose) -> None:
    network = made(compose, "transformer")
    with written_by(network) as written:
        network(batches(64, 64)[0]["tokens"])
    assert written.mean == 0


def test_the_price_is_the_gradient_of_the_mean_step(compose: Compose) -> None:
    network, batch = made(compose, "mac"), batches(64, 64)[0]
    losses = []
    for price, begins in ((0.0, 0), (2.0, 0), (2.0, 1)):
        task = NextToken(
            network, partial(SGD, lr=1.0), steps=1, warmup=0, write_price=price, price_from=begins
        )
        task.trainer = Mock(Trainer, global_step=0, world_size=1)
        task.log_dict = Mock()  # type: ignore[method-assign]
        losses.append(task.training_step(dict(batch)))
    free, priced, later = losses
    assert free == later
    gates = [m for m in network.modules() if isinstance(m, Gates)]
    gradients = torch.autograd.grad(priced - free, [m.linear.bias for m in gates])
    # The steps of a token of zeros follow their bias up.
    assert all((gradient[len(gradient) // 3 * 2 :] > 0).all() for gradient in gradients)
    with written_by(network) as written:
        network(batch["tokens"])
    torch.testing.assert_close(priced - free, 2.0 * torch.as_tensor(written.mean))


def test_what_is_computed_again_has_no_price(compose: Compose) -> None:
    network = made(compose, "lmm")
    recompute_blocks(network)
    task = NextToken(network, partial(SGD, lr=1.0), steps=1, warmup=0, write_price=1.0)
    with pytest.raises(ValueError, match=r"task\.write_price=0"):
        task.on_fit_start()


def test_a_price_is_no_gain(compose: Compose) -> None:
    with pytest.raises(ValueError, match="write_price=-1"):
        NextToken(made(compose, "lmm"), partial(SGD, lr=1.0), steps=1, warmup=0, write_price=-1.0)
