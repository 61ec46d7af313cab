"""The plan for many devices: its formulas, and that docs/scale.md is what they give."""

from collections.abc import Callable
from typing import Any

import hydra
import pytest
from omegaconf import DictConfig
from torch._subclasses.fake_tensor import FakeTensorMode

from tests.scale import PAGE, page
from titans.evals.kernels import count, kernels
from titans.evals.scale import Device, Scale, Shape, table

DEVICE = Device("D", 100, 10, 0.9, bus=(100, 50), share=0.5, launch=1e-5, disk=1)
SHAPE = Shape(
    parameters=(1_000_000, 100_000, 200_000),
    dim=100,
    blocks=8,
    state=1000,
    block_activations=10_000_000,
    output=5_000_000,
    kernels=1000,
    flops=6e6,
    length=1000,
    sequences=64,
    steps=10,
)


def test_memory_is_divided_by_part() -> None:
    alone, many = Scale(SHAPE, DEVICE, 1), Scale(SHAPE, DEVICE, 16)
    assert alone.memory(1)["weights"] == alone.memory(1)["gradients"] == 4e6
    assert alone.memory(1)["AdamW's averages"] == 8e6
    assert alone.memory(1)["gathered blocks"] == 0
    assert many.memory(1)["weights"] == 4e6 / 16
    assert many.memory(1)["gathered blocks"] == 4 * (3 * 100_000 + 2 * 200_000)
    # The input of each block, one block that is computed again, and the output.
    assert many.memory(2)["activations"] == 2 * (4 * 1000 * 100 * 8 + 15_000_000)


def test_the_micro_batch_is_the_largest_that_fits() -> None:
    small = DEVICE._replace(gigabytes=0.2)
    assert Scale(SHAPE, DEVICE, 1).micro_batch == 64
    plan = Scale(SHAPE, small, 2)
    assert plan.held(plan.micro_batch) <= 0.18e9 < plan.held(2 * plan.micro_batch)
    assert plan.micro_batch * plan.accumulation == 32
    with pytest.raises(ValueError, match=r"task\.tbptt"):
        Scale(SHAPE, DEVICE._replace(gigabytes=0.01), 1)
    with pytest.raises(ValueError, match="3 devices"):
        Scale(SHAPE, DEVICE, 3)


def test_the_slowest_takes_the_step() -> None:
    plan = Scale(SHAPE, DEVICE, 16)
    assert plan.accumulation == 1
    assert plan.seconds["arithmetic"] == pytest.approx(4 / 3 * 6e6 * 4000 / 50e12)
    assert plan.seconds["launches"] == pytest.approx(1000 * 1e-5)
    # Weights are gathered twice, and gradients divided once: three times all but the own part.
    assert plan.seconds["communication"] == pytest.approx(3 * 4e6 * 15 / 16 / 50e9)
    assert plan.step == plan.seconds["launches"]
    assert dict(plan.rows())["bottleneck"] == "launches"
    one = Scale(SHAPE, DEVICE, 1)
    assert one.received == 0
    assert len(list(table([one, plan]))) == 2 + len(list(plan.rows()))


@pytest.mark.parametrize("model", ["mac", "transformer"])
def test_kernels_grow_evenly(compose: Callable[..., Any], model: str) -> None:
    network: DictConfig = compose(f"model={model}", "scale.segment=128").task.network
    with FakeTensorMode():
        block = hydra.utils.instantiate(network, _convert_="all").backbone.blocks[0]
    assert kernels(block, 1536, half=False) == count(block, 1536, half=False)
    short, longer = (count(block, n, half=False) for n in (512, 1536))
    # A chunk after the other, but all of attention at once.
    assert (longer[0] > 2 * short[0]) == (model != "transformer")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_page_is_what_the_formulas_give() -> None:
    assert PAGE.read_text() == page()
