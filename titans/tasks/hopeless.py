"""Ends a training that will not be the best of its search."""

from collections.abc import Callable
from typing import Any

from lightning import Callback, LightningModule, Trainer


class StopWhereHopeless(Callback):
    """Shows each validation error to who compares it with those of other runs.

    Args:
        hopeless: step and lowest validation error so far -> whether to stop.

    Attributes:
        stopped: whether it was.
    """

    def __init__(self, hopeless: Callable[[int, float], bool]) -> None:
        self.hopeless, self.shown, self.stopped = hopeless, 0, False

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """Looks whether there was a validation since."""
        # The task validates after this is called: what is shown is one step old.
        validated: Any = pl_module.step_validated
        error: Any = pl_module.best_error
        if int(validated) > self.shown:
            self.shown = int(validated)
            self.stopped = self.hopeless(self.shown, float(error))
            trainer.should_stop = trainer.should_stop or self.stopped
