"""The folder that a run writes into: that it can, and that no other run does meanwhile."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from experiments.checks import Halted, check_writable

LOCK = ".lock"
# What launchers number the processes of one run by.
RANKS = ("RANK", "LOCAL_RANK", "SLURM_PROCID")


class Folder(Callback):
    """Refuses an output folder before Hydra, which would fail with a traceback, makes it."""

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        """Looks at the folder of one run."""
        # Hydra does so next; the name of the folder is made of it.
        HydraConfig.instance().set_config(config)
        with exits():
            check_writable(config.hydra.run.dir)

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Looks at the folder of a sweep."""
        with exits():
            check_writable(config.hydra.sweep.dir)


@contextmanager
def exits() -> Iterator[None]:
    """Ends the process where a callback refuses: Hydra takes an exception for a remark."""
    try:
        yield
    except Halted as error:
        print(error, file=sys.stderr)
        sys.exit(2)


@contextmanager
def alone(folder: Path | str) -> Iterator[None]:
    """Keeps other runs out of a folder; the kernel lets them in where this one is killed.

    Raises:
        Halted: another run is in it.
    """
    # The first of the processes that train together keeps others out for all.
    if any(os.environ.get(rank, "0") != "0" for rank in RANKS):
        yield
        return
    lock = FileLock(Path(folder) / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise Halted(
            f"Another run writes to {folder}: wait until it has ended, or stop it; for a second "
            "one at the same time name another folder (hydra.run.dir=FOLDER, or for a sweep "
            "hydra.sweep.dir=FOLDER)."
        ) from error
    try:
        yield
    finally:
        lock.release()
