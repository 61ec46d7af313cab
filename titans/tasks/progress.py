"""What a training run shows while it runs."""

import sys
import time
from typing import Any

from lightning import Callback, LightningModule, Trainer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from titans.tasks.task import Task


class ProgressBar(Callback):
    """A bar with loss, tokens a second and time left; a line now and then where no one watches.

    Args:
        every: steps between two lines, where the output is not a terminal.
    """

    def __init__(self, every: int = 50) -> None:
        self.every = every
        self.console = Console(stderr=True, force_terminal=sys.stderr.isatty())
        self.bar = Progress(
            TextColumn("training"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TextColumn("{task.description}"),
            TimeRemainingColumn(),
            TextColumn("left"),
            console=self.console,
        )

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Starts the clock."""
        self.began, self.before = time.monotonic(), self._tokens(pl_module)
        self.first = trainer.global_step
        self.task = self.bar.add_task("", total=trainer.max_steps, completed=self.first)
        if self.console.is_terminal:
            self.bar.start()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, *_: Any
    ) -> None:
        """Shows the step."""
        seconds = time.monotonic() - self.began
        rate = (self._tokens(pl_module) - self.before) / seconds
        step = trainer.global_step
        loss = float(outputs["loss"]) * trainer.accumulate_grad_batches
        text = f"loss {loss:.3f}  {rate:,.0f} tokens/s"
        self.bar.update(self.task, completed=step, description=text)
        if not self.console.is_terminal and step % self.every == 0:
            left = seconds / max(1, step - self.first) * (trainer.max_steps - step)
            self.console.print(f"step {step}/{trainer.max_steps}  {text}  {left:,.0f} s left")

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leaves the last state on the screen."""
        self.bar.stop()

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Gives the terminal back."""
        self.bar.stop()

    @staticmethod
    def _tokens(task: LightningModule) -> int:
        return task.tokens_seen if isinstance(task, Task) else 0
