"""An output folder: refused before a run begins, and one run at a time in it."""

import errno
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NoReturn

import hydra
import pytest
from omegaconf import OmegaConf

from experiments.checks import Halted, check_writable
from experiments.folder import RANKS, Folder, alone
from experiments.sweep import Sweep

ROOT = Path(__file__).parents[2]
HOLD = """
import sys, time
from experiments.folder import alone
with alone(sys.argv[1]):
    print("in", flush=True)
    time.sleep(600)
"""


@pytest.fixture(autouse=True)
def unranked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in RANKS:
        monkeypatch.delenv(name, raising=False)


def held(folder: Path) -> subprocess.Popen[str]:
    """Another process that is in a folder."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], cwd=ROOT, text=True,
                               stdout=subprocess.PIPE)  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "in\n"
    return process


@pytest.mark.fault("two runs in one output folder", "the second is refused")
def test_the_second_run_is_refused_until_the_first_is_killed(tmp_path: Path) -> None:
    process = held(tmp_path)
    try:
        said = rf"Another run writes to {tmp_path}: wait .*hydra\.run\.dir=FOLDER"
        with pytest.raises(Halted, match=said), alone(tmp_path):
            pass
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    # The file is still there; what it stood for is not.
    assert (tmp_path / ".lock").is_file()
    with alone(tmp_path):
        pass


def test_one_process_has_one_run_after_the_other_in_a_folder(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), alone(tmp_path):
        raise ZeroDivisionError
    with alone(tmp_path):
        pass


def test_processes_that_train_together_share_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = held(tmp_path)
    monkeypatch.setenv("LOCAL_RANK", "1")
    with alone(tmp_path):
        pass
    process.kill()
    process.communicate()


@pytest.mark.fault("two runs in one output folder", "the second is refused")
def test_the_same_sweep_is_refused_and_the_other_keeps_its_failures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    typed = ["task=niah", "seed=0,1"]
    monkeypatch.setenv("TITANS_SWEEP", "")
    settings = {"sweep": {"dir": str(tmp_path)}, "overrides": {"task": typed}}
    config = OmegaConf.create({"hydra": settings})
    sweep = Sweep()
    sweep.on_multirun_start(config)
    place = Path(os.environ["TITANS_SWEEP"])
    (place / "failed").mkdir()
    sweep.on_multirun_end(config)
    process = held(place)
    with pytest.raises(SystemExit) as refused:
        sweep.on_multirun_start(config)
    process.kill()
    process.communicate()
    assert refused.value.code == 2
    assert "Another run writes to" in capsys.readouterr().err
    assert (place / "failed").is_dir()


@pytest.mark.fault("an output folder that takes nothing", "refused before anything is computed")
def test_a_file_in_the_place_of_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(Halted, match=rf"Nothing can be written to {folder} \(.*\): make it"):
            check_writable(folder)


@pytest.mark.fault("a read-only or full output folder", "refused before anything is computed")
@pytest.mark.parametrize("fault", [errno.EROFS, errno.EACCES, errno.ENOSPC, errno.EDQUOT])
def test_a_folder_that_takes_nothing_is_refused(
    fault: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: object) -> NoReturn:
        raise OSError(fault, os.strerror(fault))

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    with pytest.raises(Halted, match=rf"{tmp_path} \({os.strerror(fault)}\): make it a folder"):
        check_writable(tmp_path)


def test_a_folder_that_takes_something_is_left_as_it_was(tmp_path: Path) -> None:
    check_writable(tmp_path / "new" / "folder")
    assert not list((tmp_path / "new" / "folder").iterdir())


@pytest.mark.parametrize("several", [False, True])
def test_hydra_is_stopped_before_it_makes_the_folder(
    several: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    place = f"hydra.{'sweep' if several else 'run'}.dir={tmp_path}/file"
    with hydra.initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        config = hydra.compose("run", [place], return_hydra_config=True)
    folder = Folder()
    with pytest.raises(SystemExit) as refused:
        (folder.on_multirun_start if several else folder.on_run_start)(config)
    assert refused.value.code == 2
    assert f"Nothing can be written to {tmp_path}/file (File exists)" in capsys.readouterr().err
