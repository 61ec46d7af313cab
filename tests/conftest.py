"""One thread a process, and the shapes in the annotations of `titans` checked at every call."""

from collections.abc import Callable
from pathlib import Path

import hydra
import pytest
import torch
from hypothesis import settings
from jaxtyping import install_import_hook
from omegaconf import DictConfig

ROOT = Path(__file__).resolve().parent.parent

torch.set_num_threads(1)
# The same examples in every run, on however slow a machine.
settings.register_profile("same", derandomize=True, deadline=None)
settings.load_profile("same")
install_import_hook("titans", "beartype.beartype")


@pytest.fixture(scope="session")
def compose() -> Callable[..., DictConfig]:
    """The configuration of a run, given its overrides."""

    def run(*overrides: str) -> DictConfig:
        with hydra.initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
            return hydra.compose("run", list(overrides))

    return run
