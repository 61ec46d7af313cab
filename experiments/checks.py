"""What is refused before anything is computed, from the configuration alone."""

import os
import tempfile
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from experiments.overrides import check_options, check_types, check_used, typed

MOST_THREADS = 1024
# What Python and torch raise inside, where no setting has a name.
NAMELESS = (TypeError, AttributeError, LookupError, ArithmeticError, AssertionError)


class Halted(Exception):
    """A run that cannot begin or go on, and what to do about it."""


def told(error: Exception) -> str:
    """What to say of an error in place of a traceback; empty where the program may be at fault."""
    if isinstance(error, OSError):
        return f"{error}: mend that, and go on with resume=true"
    if isinstance(error, Halted | OmegaConfBaseException):
        return str(error)
    # Settings, data and checkpoints that are wrong are ValueErrors everywhere.
    if isinstance(error, ValueError) and not os.environ.get("HYDRA_FULL_ERROR"):
        return f"{error} (HYDRA_FULL_ERROR=1 shows where)"
    return ""


def named(error: BaseException) -> str:
    """What to say of an error in one paragraph: its own words, or all settings that were typed."""
    nameless = isinstance(error, NAMELESS) and not isinstance(error, OmegaConfBaseException)
    if not nameless and type(error) is not RuntimeError:
        return str(error)
    reason = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
    settings = " ".join(typed(HydraConfig.get()))
    return (
        f"These settings do not work ({reason}), or not together: {settings}. "
        "HYDRA_FULL_ERROR=1 shows where."
    )


def check(config: DictConfig) -> None:
    """Refuses what cannot be run.

    Raises:
        Halted: a setting has the wrong type, an unknown option or no effect, a folder cannot be
            written to, or a checkpoint is not there.
    """
    overrides, choices = typed(HydraConfig.get()), HydraConfig.get().runtime.choices
    groups = [o for o in overrides if o.lstrip("+~").partition("=")[0].partition("@")[0] in choices]
    try:
        check_types((o for o in overrides if o not in groups), config, hydra.compose("run", groups))
        check_options(config.task)
        OmegaConf.resolve(config.copy())
        check_used(overrides, config)
    except ValueError as error:
        raise Halted(str(error)) from error
    check_threads(config.hardware.threads)
    if config.search and HydraConfig.get().mode != RunMode.MULTIRUN:
        raise Halted(
            "search=true makes a run a trial of a search: start the search with -m "
            "hydra/sweeper=learning_rate (docs/sweeps.md), or leave it out."
        )
    for folder in (config.records, config.output_dir):
        check_writable(folder)
    if config.task.data is None and (config.resume or config.evaluate_only):
        raise Halted(f"task={choices['task']} trains nothing: leave out resume and evaluate_only.")
    for path in (config.evaluate_only, last(config) if config.resume else None):
        if path and not Path(str(path)).is_file():
            raise Halted(f"There is no checkpoint at {path}: train first, or name another file.")


def check_threads(count: object) -> None:
    """Refuses what is no number of threads: with too many the process would end without a word.

    Raises:
        Halted: it is none.
    """
    if count is not None and not (type(count) is int and 1 <= count <= MOST_THREADS):
        raise Halted(
            f"hardware.threads is {count!r}, and should be 1 to {MOST_THREADS}, or null for as "
            "many as there are processors"
        )


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
