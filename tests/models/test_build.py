"""Networks are made of descriptions, and nothing else is."""

from typing import Any

import pytest
import torch

from titans.models import Backbone, LanguageModel, build

MAMBA = {"_target_": "titans.mixers.Mamba", "_partial_": True, "dim": 8}
BACKBONE = {"_target_": "titans.models.Backbone", "dim": 8, "layers": 2, "mixers": {"mamba": MAMBA}}


def test_a_description_is_built_inside_out() -> None:
    described = {"_target_": "titans.models.LanguageModel", "vocabulary": 5, "backbone": BACKBONE}
    network = build(described)
    assert isinstance(network, LanguageModel)
    assert isinstance(network.backbone, Backbone)
    assert len(network.backbone.blocks) == 2
    assert network(torch.tensor([[1, 2]]))[0].shape == (1, 2, 5)
    assert described["backbone"] == BACKBONE


@pytest.mark.parametrize(
    "target",
    [
        "os.system",
        "titans.models.build.import_module",
        "titans.models.build.partial",
        "titans.models.language.torch.load",
        "titans.models.language.nn.Linear",
        "titans.models.nothing.Here",
        "titans.modelsmore.Here",
        "titans.export.main",
        "titans.memory.memorize",
        "",
        7,
    ],
)
@pytest.mark.parametrize("partial", [False, True])
def test_other_targets_are_refused(target: Any, partial: bool) -> None:
    with pytest.raises(ValueError, match="no class of"):
        build([{"inside": {"_target_": target, "_partial_": partial}}])


def test_other_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="Backbone cannot be made as described"):
        build(BACKBONE | {"height": 3})
