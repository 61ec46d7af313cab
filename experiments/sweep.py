"""What several runs of one command share: a name, and the list of those that failed."""

import json
import os
import shutil
import sys
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from experiments.checks import Halted
from experiments.folder import alone, exits
from experiments.overrides import typed
from experiments.recipe import SURROUNDINGS

# The folder that the runs of a sweep share. Some are processes on other machines: all inherit it.
SHARED = "TITANS_SWEEP"
# Keeps the same sweep from being started twice. Not the callback's, which is sent to processes.
_HELD = ExitStack()


def digest(text: str) -> str:
    """A few letters that stand for a text."""
    return sha256(text.encode()).hexdigest()[:8] if text else "default"


def divide(whole: float, part: float) -> int:
    """How often a part is in the whole, and at least once."""
    return max(1, int(whole) // int(part))


def share(fraction: float, whole: Any) -> Any:
    """The nearest whole number to a part of another; what is no number is for others to refuse."""
    return round(fraction * whole) if isinstance(whole, int | float) else whole


def either(*values: Any) -> Any:
    """The first that is not null."""
    return next((value for value in values if value is not None), None)


# Here, and not in run.py, which the processes of joblib and submitit do not import.
OmegaConf.register_new_resolver("digest", digest, replace=True)
OmegaConf.register_new_resolver("divide", divide, replace=True)
OmegaConf.register_new_resolver("share", share, replace=True)
OmegaConf.register_new_resolver("either", either, replace=True)


@dataclass(frozen=True)
class Failure:
    """A run of a sweep that failed: what was typed, what was wrong, and where it says more."""

    overrides: list[str]
    error: str
    log: str


class Sweep(Callback):
    """Names a sweep when it begins, and lists its failures when it ends."""

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """The same command is the same sweep when it is started again."""
        with exits():
            check_slurm(config)
        place = Path(config.hydra.sweep.dir, "sweeps", name(typed(config.hydra)))
        os.environ[SHARED] = str(place.absolute())
        place.mkdir(parents=True, exist_ok=True)
        with exits():
            _HELD.enter_context(alone(place))
        shutil.rmtree(shared() / "failed", ignore_errors=True)

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        """Exits with status 1 where a run failed."""
        _HELD.close()
        failures = [
            Failure(**json.loads(path.read_text(encoding="utf-8")))
            for path in sorted((shared() / "failed").glob("*.json"), key=lambda p: int(p.stem))
        ]
        if not failures:
            return
        print(f"\n{len(failures)} of the runs failed; the others are recorded:", file=sys.stderr)
        for failure in failures:
            print(f"  {' '.join(failure.overrides)}", file=sys.stderr)
            print(f"    {failure.error}\n    log: {failure.log}", file=sys.stderr)
        sys.exit(1)


def check_slurm(config: DictConfig) -> None:
    """Refuses Slurm's launcher where it would fail with a traceback.

    Raises:
        Halted: there is no Slurm here, or no partition is named.
    """
    launcher = OmegaConf.select(config, "hydra.launcher._target_", default="")
    if not launcher.endswith("SlurmLauncher"):
        return
    if shutil.which("srun") is None:
        raise Halted(
            "Slurm is not here (no srun): start this where jobs are submitted, or choose other "
            "hardware, and no hydra/launcher=slurm."
        )
    if OmegaConf.is_missing(config.hydra.launcher, "partition"):
        raise Halted("Slurm runs jobs in a partition: name it with hydra.launcher.partition=NAME.")


def sweeping() -> bool:
    """Whether this run is one of a sweep."""
    return bool(HydraConfig.get().mode == RunMode.MULTIRUN)


def shared() -> Path:
    """The folder that the runs of this sweep share."""
    return Path(os.environ[SHARED])


def name(overrides: list[str]) -> str:
    """What a sweep is called: its recipe or its task, and a digest of all that makes it another."""
    settings = dict(override.partition("=")[::2] for override in overrides)
    own = [o for o in overrides if o.partition("=")[0].partition(".")[0] not in SURROUNDINGS]
    about = settings.get("experiment") or settings.get("task") or "sweep"
    return f"{about.replace(',', '-')}-{digest(' '.join(sorted(own)))}"


def note_failure(error: BaseException) -> None:
    """Leaves word of this run's failure for the end of the sweep."""
    hydra = HydraConfig.get()
    message = str(error).partition("\n")[0] or type(error).__name__
    log = Path(hydra.runtime.output_dir, f"{hydra.job.name}.log")
    failure = Failure(typed(hydra), message, os.path.relpath(log))
    folder = shared() / "failed"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{hydra.job.num}.json").write_text(json.dumps(asdict(failure)), encoding="utf-8")
