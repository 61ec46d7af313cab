"""Lightning's trainer, as every run has it."""

from typing import Any

from lightning import Callback, Trainer


def make_trainer(
    training: Any,
    callbacks: list[Callback],
    *,
    gradient_clip: float | None,
    **hardware: Any,
) -> Trainer:
    """A trainer for so many steps, without a logger yet.

    Args:
        training: what it trains on, with its `steps` and `accumulation`; None for nothing.
        callbacks: all there are to be.
        gradient_clip: the norm that gradients are cut to; None for no limit.
        hardware: devices, strategy and precision, as `Trainer` takes them.
    """
    trainer = Trainer(
        **hardware,
        max_steps=0 if training is None else training.steps,
        # Lightning counts an interrupted epoch as done; the sampler knows the step.
        max_epochs=-1,
        gradient_clip_val=gradient_clip,
        callbacks=callbacks,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        log_every_n_steps=10,
    )
    if training is not None:
        trainer.accumulate_grad_batches = training.accumulation(trainer.world_size)
    return trainer
