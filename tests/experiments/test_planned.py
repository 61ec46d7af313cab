"""What is known of a run before it begins, from the command that was typed."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import hydra
import pytest
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from experiments.cell import CONF
from experiments.planned import known, planned
from experiments.precision import precision
from experiments.record import FAILED, NOTE

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


@pytest.mark.parametrize(
    ("override", "goes_on"),
    [
        ("hardware.threads=1", True),
        ("hardware=gpu", False),
        ("task.steps=6", False),
    ],
)
def test_a_sweep_goes_on_from_a_checkpoint_of_the_same_run(
    override: str, goes_on: bool, tmp_path: Path
) -> None:
    """The folder is the same, as it is of one command where conf/ has changed since."""
    left = replace(planned(typed(*SEVERAL)), status=FAILED, error="killed")
    checkpoint = tmp_path / "last.ckpt"
    checkpoint.touch()
    config = typed(*SEVERAL, override, f"records={tmp_path}/records")
    assert known(config, checkpoint) is None
    assert config.resume, "nothing says of what the checkpoint is"
    (tmp_path / NOTE).write_text(str(left.write(tmp_path / "records")))
    assert known(config, checkpoint) is None
    assert config.resume == goes_on
