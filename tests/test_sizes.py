"""The models of one scale are of one size, and FIDELITY.md says which."""

from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig

from tests.sizes import (
    OURS,
    PAGE,
    SCALES,
    TITANS,
    build,
    fitting_width,
    matched,
    measure,
    names,
    page,
)


@pytest.mark.parametrize("model", names())
def test_larger_scales_have_more_parameters(model: str) -> None:
    totals = [measure(model, scale).total for scale in SCALES]
    assert all(small < large for small, large in pairwise(totals))


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("model", matched())
def test_as_large_as_lmm(model: str, scale: str) -> None:
    assert measure(model, scale).total == pytest.approx(measure("lmm", scale).total, rel=0.03)
    # What `make sizes` would write.
    width = build(model, scale).backbone.blocks[0].mlp.outer.in_features
    assert width == fitting_width(model, scale)


@pytest.mark.parametrize("task", ["context", "genomics"])
@pytest.mark.parametrize("scale", OURS)
@pytest.mark.parametrize("model", [*TITANS, "transformer", "mamba", "hyena", "based"])
def test_where_a_task_wants_it_the_titans_are_as_large_too(
    compose: Callable[..., DictConfig], model: str, scale: str, task: str
) -> None:
    with torch.device("meta"):
        networks = [
            instantiate(compose(f"model={name}", f"scale={scale}", f"task={task}").task.network)
            for name in (model, "lmm")
        ]
    size, expected = (sum(p.numel() for p in network.parameters()) for network in networks)
    assert size == pytest.approx(expected, rel=0.05)


def test_all_but_the_titans_are_matched() -> None:
    ablations = {name for name in names() if name.startswith(("lmm_", "mac_"))}
    assert set(names()) - set(matched()) == {*TITANS, *ablations}


def test_the_table_is_current() -> None:
    assert PAGE.read_text() == page()
