"""What is known of a run before it begins, from the command that was typed."""

from collections.abc import Iterator

import hydra
import pytest
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from experiments.cell import CONF
from experiments.planned import planned
from experiments.precision import precision

SEVERAL = ("logger=none", "model=lmm", "task.steps=5")


@pytest.fixture(autouse=True)
def conf() -> Iterator[None]:
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        yield
    HydraConfig.instance().cfg = None


def typed(*overrides: str) -> DictConfig:
    """The configuration that a command makes, which Hydra knows of."""
    config = hydra.compose("run", [*overrides], return_hydra_config=True)
    HydraConfig.instance().set_config(config)
    OmegaConf.set_struct(config, False)
    del config["hydra"]
    return config


@pytest.mark.parametrize(
    ("override", "rounded"),
    [
        ("hardware=cpu", ""),
        ("hardware=gpu", "bf16-mixed"),
        ("hardware.trainer.precision=bf16", "bf16-mixed"),
    ],
)
def test_a_plan_says_its_precision(override: str, rounded: str) -> None:
    assert precision(planned(typed(*SEVERAL, override))) == rounded
