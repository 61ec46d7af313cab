"""What a training would take, against what it takes at scale tiny."""

from collections.abc import Callable
from typing import Any

import hydra
import pytest
import torch
from omegaconf import DictConfig
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._pytree import tree_leaves

from titans.evals import Plan
from titans.evals.plan import Living
from titans.models import LanguageModel
from titans.tasks import Sharded

LENGTH = 256
MACHINE = {"name": "some device", "gigabytes": 1, "teraflops": 100, "share": 0.5}


def made(compose: Callable[..., DictConfig], model: str) -> LanguageModel:
    network = compose(f"model={model}", "scale=tiny").task.network
    return hydra.utils.instantiate(network, _convert_="all")


def plan(**settings: Any) -> Plan:
    given = {"length": LENGTH, "step_tokens": 8192, "steps": 1000, "batch": 4, "devices": 2}
    return Plan(**{**given, "precision": "32-true", "machine": MACHINE, **settings})


@pytest.mark.parametrize("model", ["lmm", "mac", "mag", "transformer", "samba"])
def test_memory_is_what_a_sequence_keeps(compose: Callable[..., DictConfig], model: str) -> None:
    with FakeTensorMode():
        fake = made(compose, model)
    planned = plan().kept(fake)

    network = made(compose, model)
    with Living() as living:
        hidden, state = network.hidden(torch.zeros(1, LENGTH, dtype=torch.long))
        logits = network.logits(hidden).float()
        loss = torch.nn.functional.cross_entropy(logits[0], torch.zeros(LENGTH, dtype=torch.long))
        states = sum(x.numel() * x.element_size() for x in tree_leaves(state))
        del hidden, logits, state
        kept = living.bytes()
    assert loss.requires_grad
    assert planned.state == states
    assert 0.9 * kept < planned.activations < 1.6 * kept


def test_all_of_it_is_said(compose: Callable[..., DictConfig]) -> None:
    with FakeTensorMode():
        network = made(compose, "lmm")
    parameters = sum(p.numel() for p in made(compose, "lmm").parameters())
    said = "\n".join(plan().lines(network, accumulate=4))
    assert f"parameters   {parameters:,}" in said
    assert "tokens       8,192,000" in said
    assert "steps        1,000 of 8,192 tokens" in said
    assert "4 batches of 4 x 256 tokens on each of 2 devices" in said
    assert "2 x some device, if 50% of 100 TFLOP/s are reached (assumed, not measured)" in said


def test_segments_are_batches_and_the_state_is_that_of_the_sequence(
    compose: Callable[..., DictConfig],
) -> None:
    with FakeTensorMode():
        network = made(compose, "transformer")
    segmented = plan(tbptt=LENGTH // 4)
    said = "\n".join(segmented.lines(network, accumulate=16))
    assert "16 batches of 4 x 64 tokens on each of 2 devices" in said
    assert "activations  0" not in said
    assert segmented.kept(network).state == plan().kept(network).state


def test_machines_multiply_devices_and_share_what_is_sharded(
    compose: Callable[..., DictConfig],
) -> None:
    with FakeTensorMode():
        network = made(compose, "lmm")
    whole, shared = (
        "\n".join(plan(machines=4, strategy=strategy).lines(network, accumulate=1))
        for strategy in ("ddp", Sharded())
    )
    assert "on each of 8 devices" in whole
    assert "AdamW's averages\n" in whole
    assert "AdamW's averages (a device's share)\n" in shared


def test_half_precision_keeps_less(compose: Callable[..., DictConfig]) -> None:
    with FakeTensorMode():
        network = made(compose, "transformer")
    full, half = plan().kept(network), plan(precision="bf16-mixed").kept(network)
    assert half.activations < full.activations


def test_segments_and_recomputation_keep_less(compose: Callable[..., DictConfig]) -> None:
    with FakeTensorMode():
        network = made(compose, "mac")
    whole = plan().kept(network)
    assert plan(tbptt=LENGTH // 4).kept(network).activations < 0.3 * whole.activations
    assert plan(recompute=True).kept(network).activations < whole.activations


def test_what_does_not_fit_is_said_with_the_mend(compose: Callable[..., DictConfig]) -> None:
    with FakeTensorMode():
        network = made(compose, "lmm")
    assert "fit" not in "\n".join(plan().lines(network, accumulate=4))
    said = "\n".join(plan(machine={**MACHINE, "gigabytes": 0.01}).lines(network, accumulate=4))
    assert "does not fit" in said
    assert "hardware.micro_batch" in said
