"""A checkpoint is replaced by a whole one or not at all; nothing in a foreign one is executed."""

import json
import os
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import torch
from lightning import LightningModule, Trainer
from safetensors.torch import save_file

from titans.tasks import Checkpoint, load_checkpoint

MARK = "executed"


def trainer(step: int, full: bool) -> Mock:
    """A trainer after `step` steps, whose disk may be full."""

    def save(path: Path) -> None:
        path.write_text("hal" if full else f"whole {step}")
        if full:
            raise OSError(28, "No space left on device", str(path))

    alone = {
        "world_size": 1,
        "is_global_zero": True,
        "accumulate_grad_batches": 1,
        "should_stop": False,
    }
    return Mock(Trainer, global_step=step, save_checkpoint=save, **alone)


@pytest.mark.fault("a full disk while a checkpoint is written", "the one before stays whole")
def test_a_full_disk_leaves_the_last_checkpoint(tmp_path: Path) -> None:
    callback = Checkpoint(tmp_path / "last.ckpt", every=1)
    callback.on_train_batch_end(trainer(step=1, full=False), 0)
    with pytest.raises(OSError, match="No space"):
        callback.on_train_end(trainer(step=2, full=True), Mock(LightningModule))
    assert [path.name for path in tmp_path.iterdir()] == ["last.ckpt"]
    assert (tmp_path / "last.ckpt").read_text() == "whole 1"


class Bait:
    """What, unpickled, makes a folder of that name."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return os.mkdir, (str(self.path),)


def rigged(bait: Bait) -> dict[str, Any]:
    return {"state_dict": {}, "run": {}, "bait": bait}


def pickled(path: Path, bait: Bait) -> None:
    path.write_bytes(pickle.dumps(rigged(bait)))


def saved(path: Path, bait: Bait) -> None:
    torch.save(rigged(bait), path)


def saved_as_before(path: Path, bait: Bait) -> None:
    """Torch's format of 2020: several pickles one behind the other."""
    torch.save(rigged(bait), path, _use_new_zipfile_serialization=False)


def hidden_in_weights(path: Path, bait: Bait) -> None:
    torch.save({"state_dict": OrderedDict(weight=bait), "run": {}}, path)


@pytest.mark.fault("a checkpoint that is pickled malware", "refused by name, not executed")
@pytest.mark.parametrize("write", [pickled, saved, saved_as_before, hidden_in_weights])
def test_what_a_rigged_checkpoint_says_is_not_done(
    write: Callable[[Path, Bait], None], tmp_path: Path
) -> None:
    path, mark = tmp_path / "last.ckpt", tmp_path / MARK
    write(path, Bait(mark))
    with pytest.raises(ValueError, match=rf"{path} is no checkpoint.*nothing in it was executed"):
        load_checkpoint(path)
    assert not mark.exists()
    # That it would have been is what makes the test one.
    with suppress(Exception):
        torch.load(path, weights_only=False)
    assert mark.exists()


def weights(path: Path) -> None:
    torch.save(OrderedDict(weight=torch.zeros(2)), path)


def lightning(path: Path) -> None:
    """What Lightning's other users have."""
    content = {"state_dict": {"weight": torch.zeros(2)}, "global_step": 1, "epoch": 0}
    torch.save(content, path)


def run_of_another_kind(path: Path) -> None:
    torch.save({"state_dict": {"weight": torch.zeros(2)}, "run": "number 3"}, path)


def no_weights(path: Path) -> None:
    torch.save({"state_dict": {"weight": 2.0}, "run": {}}, path)


def tensor(path: Path) -> None:
    torch.save(torch.zeros(2), path)


def safetensors(path: Path) -> None:
    save_file({"weight": torch.zeros(2)}, path)


def archive(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("../outside.txt", "some text")


def torchscript(path: Path) -> None:
    torch.jit.save(torch.jit.trace(torch.nn.Linear(1, 1), torch.zeros(1)), path)


def text(path: Path) -> None:
    path.write_text(json.dumps({"state_dict": {}, "run": {}}))


def empty(path: Path) -> None:
    path.touch()


def half(path: Path) -> None:
    torch.save({"state_dict": {"weight": torch.zeros(999)}, "run": {}}, path)
    path.write_bytes(path.read_bytes()[:2000])


def flipped(path: Path) -> None:
    """Bytes of the pickle inside, not of the weights."""
    torch.save({"state_dict": {"weight": torch.zeros(9)}, "run": {}}, path)
    content = bytearray(path.read_bytes())
    place = content.index(b"state_dict")
    content[place - 8 : place + 4] = bytes(12)
    path.write_bytes(content)


@pytest.mark.fault("a truncated, corrupted or foreign checkpoint", "refused by name")
@pytest.mark.filterwarnings("ignore:`torch.jit")
@pytest.mark.parametrize(
    "write",
    [weights, lightning, run_of_another_kind, no_weights, tensor, safetensors, archive,
     torchscript, text, empty, half, flipped],
)  # fmt: skip
def test_what_is_no_checkpoint_of_ours_is_refused_by_name(
    write: Callable[[Path], None], tmp_path: Path
) -> None:
    path = tmp_path / "some.ckpt"
    write(path)
    with pytest.raises(ValueError, match="checkpoint") as refused:
        load_checkpoint(path)
    said = str(refused.value)
    assert str(path) in said
    assert "\n" not in said
    assert "weights_only" not in said, "torch's advice would execute what it says"
    assert [file.name for file in tmp_path.iterdir()] == ["some.ckpt"]


def test_a_folder_is_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"there is no checkpoint at .*: train first, or name"):
        load_checkpoint(tmp_path)
