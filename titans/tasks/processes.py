"""The processes that train together: who leads, and what happens when one of them is lost."""

import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

from lightning import Trainer
from lightning.pytorch.strategies import ModelParallelStrategy
from lightning.pytorch.strategies.launchers import _SubprocessScriptLauncher
from lightning.pytorch.utilities import rank_zero_only

from titans.tasks.task import Task

log = logging.getLogger("titans")
PARENT = "TITANS_PARENT"
# Seconds between two looks at the other processes; between a connection that breaks and the end of
# the process that broke it; until a process that waits for a lost one is ended.
EVERY, SOON, GRACE = 0.5, 5.0, 15.0


class LostProcessError(RuntimeError):
    """A process that trained with this one has ended."""


def leads() -> bool:
    """Whether this process is the one that logs, scores and records."""
    return bool(rank_zero_only.rank == 0)  # type: ignore[attr-defined]


def watch(trainer: Trainer, task: Task, *, several_runs: bool = False) -> None:
    """Has the processes that train together end together, with a line that says why.

    Args:
        trainer: has not started any yet.
        task: what it will train.
        several_runs: whether the command is a sweep, which a process started anew would run whole.

    Raises:
        ValueError: it is, and the trainer would start processes; or the network cannot be divided
            among them as it should.
    """
    if isinstance(trainer.strategy, ModelParallelStrategy) and not task.shards:
        raise ValueError(
            "hardware=fsdp divides language models alone: take hardware=ddp, where each device has "
            "the whole model"
        )
    if PARENT in os.environ:
        threading.Thread(target=_end_with_parent, daemon=True).start()
    launcher = trainer.strategy.launcher
    if not isinstance(launcher, _SubprocessScriptLauncher):
        return
    if launcher.cluster_environment.creates_processes_externally:
        # Slurm's, or this process was started by another.
        return
    if several_runs:
        raise ValueError(
            "a sweep starts no processes of its own: run one command at a time without -m, or have "
            "Slurm start them with hardware=slurm"
        )
    own = Together(launcher.cluster_environment, launcher.num_processes, launcher.num_nodes)
    trainer.strategy._launcher = own


class Together(_SubprocessScriptLauncher):
    """Starts a process for each other device of this machine; where one is lost, all end.

    Lightning's own kills this process at once, which leaves no word of why.
    """

    over = False

    def launch(
        self, function: Callable[..., Any], *args: Any, trainer: Trainer | None = None, **more: Any
    ) -> Any:
        """Calls the function in each process.

        Raises:
            LostProcessError: another process ended meanwhile.
        """
        self.cluster_environment.validate_settings(self.num_processes, self.num_nodes)
        os.environ[PARENT] = str(os.getpid())
        self._call_children_scripts()
        threading.Thread(target=self._watch, daemon=True).start()
        try:
            return function(*args, **more)
        except RuntimeError as error:
            # The connection breaks a little before the process is known to have ended.
            if lost := self._lost(SOON):
                raise LostProcessError(lost) from error
            self.kill(signal.SIGKILL)
            raise
        except BaseException:
            self.kill(signal.SIGKILL)
            raise
        finally:
            self.over = True

    def _watch(self) -> None:
        """Ends this process where it waits for one that is lost, as it may for half an hour."""
        while not self.over:
            if (lost := self._lost(EVERY)) and not self.over:
                self.kill(signal.SIGKILL)
                # Mostly the connection breaks, and this process records what was wrong, and ends.
                time.sleep(GRACE)
                log.error("%s", lost)
                os._exit(2)

    def _lost(self, seconds: float) -> str:
        """Which process ended other than well, if one does within so many seconds."""
        until = time.monotonic() + seconds
        while True:
            for rank, process in enumerate(self.procs, 1):
                if process.poll():
                    return _told(rank, self.num_processes, process.returncode)
            if time.monotonic() > until:
                return ""
            time.sleep(EVERY / 5)


def _told(rank: int, count: int, status: int) -> str:
    """What there is to say of a process that ended so; a signal has a negative status."""
    how = (
        f"was killed ({signal.Signals(-status).name}), perhaps for want of memory"
        if status < 0
        else f"ended with status {status}, and has said why above"
    )
    return (
        f"Process {rank} of 0 to {count - 1} {how}. Mend that; the same command with resume=true "
        "goes on from the last checkpoint"
    )


def _end_with_parent() -> None:
    """Ends a process whose starter is gone, and for which it would wait."""
    while os.getppid() == int(os.environ[PARENT]):
        time.sleep(EVERY)
    os._exit(2)
