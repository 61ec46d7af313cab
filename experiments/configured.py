"""What a command makes, however it is typed: a digest of each part's resolved settings."""

import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import hydra
from omegaconf import DictConfig, OmegaConf

from experiments.recipe import SURROUNDINGS, key

PARTS = ("network", "objective", "data", "evaluations", "gradient_clip")


@lru_cache
def configured(overrides: tuple[str, ...]) -> dict[str, str]:
    """Composes overrides with what conf/ says now; where the run happens and its seed aside.

    Returns:
        Part -> digest of its settings: those of the task, `optimizer` and `search`; and of the
        checkpoint that the training begins with.

    Raises:
        HydraException, OmegaConfBaseException: conf/ does not know such a run.
    """
    config = _composed(overrides)
    parts = {part: config.task.get(part) for part in PARTS}
    search = config.search and (config.task.get("validation") or True)
    parts |= {"optimizer": config.optimizer, "search": search}
    digests = {name: _digest(part) for name, part in parts.items()}
    # The same path may be another checkpoint another day.
    path = Path(config.task.get("pretrained") or "")
    if path.is_file():
        with path.open("rb") as file:
            digests["pretrained"] = hashlib.file_digest(file, "sha256").hexdigest()[:12]
    return digests


def steps(overrides: tuple[str, ...]) -> float | None:
    """How many steps overrides train with what conf/ says now; None where the data decide.

    Raises:
        HydraException, OmegaConfBaseException: conf/ does not know such a run.
    """
    made: float | None = _composed(overrides).task.get("steps")
    return made


@lru_cache
def _composed(overrides: tuple[str, ...]) -> DictConfig:
    # A checkpoint that is scored has its overrides before those of the command: the last counts.
    own = {key(o): o for o in overrides if key(o).partition(".")[0] not in SURROUNDINGS}
    config = hydra.compose("run", list(own.values()))
    config.output_dir = ""
    return config


def _digest(part: Any) -> str:
    plain = OmegaConf.to_container(part, resolve=True) if OmegaConf.is_config(part) else part
    return hashlib.sha256(json.dumps(_canonical(plain), sort_keys=True).encode()).hexdigest()[:12]


def _canonical(value: Any) -> Any:
    """Keys as text, and 1.0 as 1."""
    if isinstance(value, dict):
        return {str(name): _canonical(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_canonical(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
