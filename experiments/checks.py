"""What is refused before anything is computed, from the configuration alone."""

import tempfile
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from experiments.overrides import check_options, check_types


class Halted(Exception):
    """A run that cannot begin or go on, and what to do about it."""


def check(config: DictConfig) -> None:
    """Refuses what cannot be run.

    Raises:
        Halted: a setting has the wrong type or an unknown option, a folder cannot be written to, or
            a checkpoint is not there.
    """
    typed, choices = list(HydraConfig.get().overrides.task), HydraConfig.get().runtime.choices
    groups = [o for o in typed if o.lstrip("+~").partition("=")[0].partition("@")[0] in choices]
    try:
        check_types((o for o in typed if o not in groups), config, hydra.compose("run", groups))
        check_options(config.task)
        OmegaConf.resolve(config.copy())
    except ValueError as error:
        raise Halted(str(error)) from error
    for folder in (config.records, config.output_dir):
        check_writable(folder)
    if config.task.data is None and (config.resume or config.evaluate_only):
        raise Halted(f"task={choices['task']} trains nothing: leave out resume and evaluate_only.")
    for path in (config.evaluate_only, last(config) if config.resume else None):
        if path and not Path(path).is_file():
            raise Halted(f"There is no checkpoint at {path}: train first, or name another file.")


def check_writable(folder: Path | str) -> None:
    """Makes the folder, and in it a file that is gone again.

    Raises:
        Halted: nothing can be written there.
    """
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        # Permissions do not tell of a full disk, a quota or a share that is read-only.
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"something")
    except OSError as error:
        raise Halted(
            f"Nothing can be written to {folder} ({error.strerror}): make it a folder that is "
            "writable and has room, or name another."
        ) from error


def last(config: DictConfig) -> Path:
    """Where this command keeps its checkpoint."""
    return Path(config.output_dir) / "last.ckpt"
