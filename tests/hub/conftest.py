"""Small models, trained for two steps as a run does it, and exported."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import hydra
import pytest
import torch
from lightning import Trainer
from omegaconf import DictConfig, OmegaConf
from transformers import AutoModelForCausalLM

from data.language import LanguageData
from data.text import Text
from tests.ended import write_tides
from titans.hub.folder import export
from titans.models import LanguageModel
from titans.tasks import Checkpoint, NextToken

MODELS = ("lmm", "mac", "mag", "mal", "transformer", "mamba", "samba")
SIZES = ("task.vocabulary=300", "scale.dim=16", "scale.chunk_size=4", "scale.segment=8")
SMALL = ("task=lm", *SIZES, "scale.window=8", "scale.persistent=2")


class Exported(NamedTuple):
    """A trained network, its checkpoint, its folder, and what transformers loads of that."""

    name: str
    network: LanguageModel
    checkpoint: Path
    folder: Path
    model: Any


@pytest.fixture(scope="session")
def text(tmp_path_factory: pytest.TempPathFactory) -> Text:
    folder = tmp_path_factory.mktemp("text")
    path = write_tides(folder, 60)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TITANS_CACHE", str(folder / "cache"))
        tides = Text(str(path), vocabulary=300, held_out=0.2)
        assert tides.manifest.complete
    return tides


@pytest.fixture(scope="session")
def trained(
    text: Text, compose: Callable[..., DictConfig], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], tuple[LanguageModel, Path]]:
    """Trains a model; returns the network and its checkpoint."""

    def train(model: str) -> tuple[LanguageModel, Path]:
        torch.manual_seed(0)
        overrides = [f"model={model}", *SMALL]
        described = compose(*overrides).task.network
        task = NextToken(
            hydra.utils.instantiate(described, _convert_="all"),
            torch.optim.AdamW,
            steps=2,
            warmup=1,
            run={
                "choices": {"model": model, "scale": "tiny", "task": "lm"},
                "overrides": overrides,
                "seed": 0,
                "network": OmegaConf.to_yaml(described, resolve=True),
            },
        )
        path = tmp_path_factory.mktemp(model) / "last.ckpt"
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="lightning")
            Trainer(
                accelerator="cpu",
                max_steps=2,
                callbacks=[Checkpoint(path, every=100)],
                logger=False,
                enable_progress_bar=False,
                enable_model_summary=False,
                use_distributed_sampler=False,
            ).fit(task, LanguageData(text, length=32, step_tokens=64, batch=2, steps=2))
        return task.network.eval(), path

    return train


@pytest.fixture(scope="session", params=MODELS)
def exported(
    trained: Callable[[str], tuple[LanguageModel, Path]],
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
) -> Exported:
    network, checkpoint = trained(request.param)
    folder = tmp_path_factory.mktemp("exported") / request.param
    export(checkpoint, folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    return Exported(request.param, network, checkpoint, folder, model)


@pytest.fixture(scope="session")
def prompts() -> torch.Tensor:
    return torch.randint(1, 300, (3, 21), generator=torch.Generator().manual_seed(1))
