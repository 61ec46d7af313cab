"""Checkpoints that `python run.py` must refuse, and say why."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.needles import Run, assert_refused, run

MARK = "executed.txt"


@pytest.fixture
def rigged(tmp_path: Path) -> Path:
    """A file that, loaded as pickle, would leave another one."""

    class Bait:
        def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
            return os.mkdir, (str(tmp_path / MARK),)

    path = tmp_path / "run" / "last.ckpt"
    path.parent.mkdir()
    torch.save({"state_dict": {}, "run": {}, "bait": Bait()}, path)
    return path


@pytest.mark.fault("a checkpoint that is pickled malware", "refused by name, not executed")
def test_a_rigged_checkpoint_is_refused_and_not_executed(rigged: Path, tmp_path: Path) -> None:
    done = run(tmp_path, "model=mac", f"evaluate_only={rigged}")
    assert not (tmp_path / MARK).exists()
    assert_refused(done, str(rigged))


@pytest.mark.fault("a checkpoint that is pickled malware", "refused by name, not executed")
@pytest.mark.slow
def test_resuming_from_a_rigged_checkpoint_is_refused(rigged: Path, tmp_path: Path) -> None:
    done = run(tmp_path, "model=mac", "resume=true")
    assert not (tmp_path / MARK).exists()
    assert_refused(done, "last.ckpt")


@pytest.mark.fault("a truncated checkpoint", "refused by name")
@pytest.mark.slow
@pytest.mark.parametrize("how", ["evaluate_only", "resume"])
def test_a_truncated_checkpoint_is_refused(trained: Run, tmp_path: Path, how: str) -> None:
    path = tmp_path / "run" / "last.ckpt"
    path.parent.mkdir()
    whole = trained.checkpoint.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    choice = "resume=true" if how == "resume" else f"evaluate_only={path}"
    assert_refused(run(tmp_path, "model=mac", choice), str(path))


@pytest.mark.fault("a checkpoint that was trained otherwise", "not gone on from; says in what")
@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"configuration": {"data": "another"}}, "with other settings of data"),
        ({"precision": "bf16-mixed"}, "in bf16-mixed, and not in 32-true"),
    ],
    ids=str,
)
def test_what_was_trained_otherwise_is_not_gone_on_from(
    trained: Run, tmp_path: Path, how: dict[str, object], said: str
) -> None:
    checkpoint = torch.load(trained.checkpoint, weights_only=True)
    checkpoint["run"] |= how
    path = tmp_path / "run" / "last.ckpt"
    path.parent.mkdir()
    torch.save(checkpoint, path)
    assert_refused(run(tmp_path, "model=mac", "seed=3", "resume=true"), str(path), said)


@pytest.mark.fault("a foreign file as checkpoint", "refused by name")
@pytest.mark.slow
@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"{}"], ids=str)
def test_what_is_no_checkpoint_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "some.ckpt"
    path.write_bytes(content)
    assert_refused(run(tmp_path, "model=mac", f"evaluate_only={path}"), str(path))


@pytest.mark.fault("a checkpoint of another model or scale", "refused, both are named")
@pytest.mark.slow
@pytest.mark.parametrize("others", [["model=lmm"], ["model=mac", "scale=170m"]], ids=str)
def test_a_checkpoint_of_another_model_is_refused(
    trained: Run, tmp_path: Path, others: list[str]
) -> None:
    done = run(tmp_path, *others, f"evaluate_only={trained.checkpoint}")
    assert_refused(done, "model=mac", "scale=tiny", others[-1])


@pytest.mark.fault("a checkpoint of other settings", "refused, with those it has")
@pytest.mark.slow
def test_a_checkpoint_with_other_settings_is_refused(trained: Run, tmp_path: Path) -> None:
    choices = ("model=mac", "model.memory.depth=3")
    done = run(tmp_path, *choices, f"evaluate_only={trained.checkpoint}")
    assert_refused(done, "settings")
