"""When a run is saved, and what may be loaded."""

import pickle
import signal
import warnings
from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch import callbacks
from torch import Tensor


class Checkpoint(callbacks.Checkpoint):
    """Keeps the last checkpoint of a run; Ctrl-C and SIGTERM stop it after the step at hand.

    Lightning calls it after all other callbacks, so that what they do at a step is saved with it.

    Args:
        path: the file; written whole or not at all.
        every: steps between two checkpoints.

    Raises:
        ValueError: there is no step between them.
    """

    def __init__(self, path: str | Path, every: int) -> None:
        if every < 1:
            raise ValueError(f"checkpoint_every is {every}, and should be 1 or more")
        self.path, self.every, self.saved = Path(path), every, 0
        self.stopping = False

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Notes whether the training is over."""
        settled = getattr(pl_module, "settled", False)
        checkpoint["ended"] = settled or trainer.global_step >= trainer.max_steps

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Has Lightning count on in batches of this run: another may accumulate as many others."""
        progress = checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]
        batches = checkpoint["global_step"] * trainer.accumulate_grad_batches
        moved = batches - progress["current"]["ready"]
        progress["current"] = {name: n + moved for name, n in progress["current"].items()}
        progress["is_last_batch"] = False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Waits for signals."""
        # The step that a resumed run begins at is saved already.
        self.saved = trainer.global_step

        def stop(*_: Any) -> None:
            self.stopping = True
            # A second Ctrl-C does not wait.
            signal.signal(signal.SIGINT, signal.default_int_handler)

        self.handlers = {s: signal.signal(s, stop) for s in (signal.SIGINT, signal.SIGTERM)}

    def on_train_batch_end(self, trainer: Trainer, *rest: Any) -> None:
        """Saves now and then, and stops where that was asked for."""
        # Gradients are not saved: half of a step could not be resumed. The number of the batch is
        # the last that Lightning tells.
        if (rest[-1] + 1) % trainer.accumulate_grad_batches == 0:
            # A signal may reach one process a step before another, and all stop after the same.
            if trainer.world_size > 1:
                decide = trainer.strategy.reduce_boolean_decision
                self.stopping = decide(self.stopping, all=False)
            trainer.should_stop = trainer.should_stop or self.stopping
        # Once a step, however many batches it is accumulated from.
        if trainer.global_step % self.every == 0 and trainer.global_step != self.saved:
            self._save(trainer)
            self.saved = trainer.global_step

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Saves the end of the run, or how far it came."""
        self._save(trainer)
        self._listen_no_more()

    def on_exception(self, *_: Any) -> None:
        """Saves nothing: the weights may be the fault."""
        self._listen_no_more()

    def _save(self, trainer: Trainer) -> None:
        """Replaces the last checkpoint once the new one is whole."""
        # Lightning writes elsewhere and copies, which on a full disk leaves half of a file.
        partial = self.path.with_name(f"{self.path.name}.partial")
        try:
            trainer.save_checkpoint(partial)
            if trainer.is_global_zero:
                partial.replace(self.path)
        finally:
            if trainer.is_global_zero:
                partial.unlink(missing_ok=True)

    def _listen_no_more(self) -> None:
        for number, handler in getattr(self, "handlers", {}).items():
            signal.signal(number, handler)


def load_checkpoint(path: str | Path) -> dict[str, Any]:
    """Reads a checkpoint, executing nothing that is in it.

    Raises:
        ValueError: there is none, or it is truncated, or it is no checkpoint of this project.
    """
    if not Path(path).is_file():
        raise ValueError(f"there is no checkpoint at {path}: train first, or name another file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # What torch opens in another way, by its own warning.
            warnings.filterwarnings("error", ".*TorchScript")
            checkpoint: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, UserWarning) as error:
        # Torch's own message advises to execute whatever the file says.
        raise ValueError(
            f"{path} is no checkpoint of this project: it holds more than weights and plain "
            "values, or is damaged; nothing in it was executed"
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError) as error:
        raise ValueError(f"{path} is truncated, or no checkpoint: {_line(error)}") from error
    if not _is_ours(checkpoint):
        raise ValueError(
            f"{path} is not a checkpoint that this project wrote: name one, as last.ckpt in the "
            "output folder of a run"
        )
    return checkpoint


def _is_ours(content: Any) -> bool:
    """Whether there are weights, and what the run was."""
    if not isinstance(content, dict):
        return False
    weights, run = content.get("state_dict"), content.get("run")
    tensors = isinstance(weights, dict) and all(isinstance(w, Tensor) for w in weights.values())
    return tensors and isinstance(run, dict)


def _line(error: BaseException) -> str:
    return str(error).partition("\n")[0][:200]
