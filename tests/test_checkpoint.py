"""A checkpoint is replaced by a whole one or not at all."""

from pathlib import Path
from unittest.mock import Mock

import pytest
from lightning import LightningModule, Trainer

from titans.tasks import Checkpoint


def trainer(step: int, full: bool) -> Mock:
    """A trainer after `step` steps, whose disk may be full."""

    def save(path: Path) -> None:
        path.write_text("hal" if full else f"whole {step}")
        if full:
            raise OSError(28, "No space left on device", str(path))

    alone = {"world_size": 1, "is_global_zero": True, "accumulate_grad_batches": 1}
    return Mock(Trainer, global_step=step, save_checkpoint=save, **alone)


def test_a_full_disk_leaves_the_last_checkpoint(tmp_path: Path) -> None:
    callback = Checkpoint(tmp_path / "last.ckpt", every=1)
    callback.on_train_batch_end(trainer(step=1, full=False), 0)
    with pytest.raises(OSError, match="No space"):
        callback.on_train_end(trainer(step=2, full=True), Mock(LightningModule))
    assert [path.name for path in tmp_path.iterdir()] == ["last.ckpt"]
    assert (tmp_path / "last.ckpt").read_text() == "whole 1"
