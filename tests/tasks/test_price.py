"""A price on writing: on every token alike, however a mixer reads, and on nothing else."""

from collections.abc import Callable
from functools import partial
from unittest.mock import Mock

import pytest
import torch
from lightning import Trainer
from omegaconf import DictConfig
from torch import Tensor
from torch.nn.functional import relu
from torch.optim import SGD

from tests.tasks.test_truncated import batches, made
from titans.memory import Gates
from titans.models import recompute_blocks
from titans.tasks import NextToken
from titans.tasks.price import written_by

Compose = Callable[..., DictConfig]


def theta_logits(logits: Tensor) -> Tensor:
    """What the sigmoids of `theta` are of: the last third of what the gates' linear map gives."""
    return logits.chunk(3, -1)[2]


def price_of(gates: Gates, x: Tensor) -> Tensor:
    """What one pass through the gates writes."""
    with written_by(gates) as written:
        gates(x)
    return torch.as_tensor(written.mean)


@pytest.mark.parametrize("model", ["lmm", "mac", "mag", "mal"])
def test_each_token_of_each_head_and_layer_counts_alike(compose: Compose, model: str) -> None:
    network, tokens = made(compose, model), batches(64, 64)[0]["tokens"]
    gates = [m for m in network.modules() if isinstance(m, Gates)]
    calls: list[list[Tensor]] = [[] for _ in gates]
    for own, kept in zip(gates, calls, strict=True):
        own.linear.register_forward_hook(lambda _, __, out, kept=kept: kept.append(out))
    with written_by(network) as written:
        network(tokens[:, :50])
    assert len(gates) == 2
    means = [theta_logits(torch.cat(kept, 1)).sigmoid().mean() for kept in calls]
    torch.testing.assert_close(torch.as_tensor(written.mean), torch.stack(means).mean())
    count = written.count
    network(tokens)
    assert written.count == count


@pytest.mark.parametrize("floor", [0.0, 0.1])
@pytest.mark.parametrize("momentum", [True, False])
def test_the_price_is_of_the_share_above_the_floor(floor: float, momentum: bool) -> None:
    gates = Gates(8, 2, 16, step_floor=floor, momentum=momentum).double()
    x = torch.randn(3, 40, 8, dtype=torch.float64, generator=torch.manual_seed(0)) * 9
    price = price_of(gates, x)
    expected = relu(theta_logits(gates.linear(x)).sigmoid() - floor).mean() / (1 - floor)
    torch.testing.assert_close(price, expected)
    weights = [gates.linear.weight, gates.linear.bias]
    found = torch.autograd.grad(price, weights)
    torch.testing.assert_close(found, torch.autograd.grad(expected, weights))


@pytest.mark.parametrize("eta", [0.01, 0.5, 0.999])
def test_momentum_makes_no_write_cheap(eta: float) -> None:
    gates = Gates(1, 1, 16)
    with torch.no_grad():
        gates.linear.bias.copy_(torch.tensor([0.5, eta, 0.3]).logit())
    price = price_of(gates, torch.zeros(1, 4, 1))
    assert price.item() == pytest.approx(0.3)
    (slope,) = torch.autograd.grad(price, gates.linear.bias)
    assert slope.tolist() == pytest.approx([0, 0, 0.3 * 0.7], abs=1e-4)


def test_gates_that_round_to_one_have_a_finite_price() -> None:
    gates = Gates(1, 1, 16)
    for bias in ([0.0, 40.0, 0.0], [0.0, 0.0, 40.0], [40.0, 40.0, 40.0]):
        with torch.no_grad():
            gates.linear.bias.copy_(torch.tensor(bias))
        price = price_of(gates, torch.zeros(1, 4, 1))
        (slope,) = torch.autograd.grad(price, gates.linear.bias)
        assert price.isfinite()
        assert slope.isfinite().all()


def test_a_model_without_a_memory_writes_nothing(compose: Compose) -> None:
    network = made(compose, "transformer")
    with written_by(network) as written:
        network(batches(64, 64)[0]["tokens"])
    assert written.mean == 0


def test_the_price_is_the_gradient_of_what_is_written(compose: Compose) -> None:
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
