"""Forecasting from the command line: on the sample, killed and resumed, and what is refused."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.record import FINISHED, Record

ROOT = Path(__file__).parents[1]
SMALL = [
    "model=forecasting/rlinear",
    "task=timeseries",
    "task.dataset=sample",
    "task.training={batch: 40, epochs: 40, patience: 40, schedule: constant}",
    "model.forecaster.dropout=0.1",
    "hardware=cpu",
    "hardware.threads=1",
    "checkpoint_every=20",
    "logger=none",
]
WINDOWS = 200 - 96 + 1


def command(folder: Path, *arguments: str) -> list[str]:
    places = [f"hydra.run.dir={folder}/run", f"records={folder}/records"]
    return [sys.executable, str(ROOT / "run.py"), *SMALL, *places, *arguments]


def environment(folder: Path) -> dict[str, str]:
    """Neither a folder of real data nor a hub."""
    kept = {name: value for name, value in os.environ.items() if name != "TITANS_DATA"}
    quiet = {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1", "COLUMNS": "200"}
    return kept | quiet | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "hub")}


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(folder, *arguments),
        cwd=ROOT,
        env=environment(folder),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def finished(folder: Path) -> Record:
    records = [Record.read(path) for path in folder.glob("records/*.json")]
    (record,) = (record for record in records if record.status == FINISHED)
    return record


def without_seconds(record: Record) -> dict[str, float | None]:
    return {k: v for k, v in record.counts.items() if not k.startswith(("seconds", "peak"))}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An undisturbed run."""
    folder = tmp_path_factory.mktemp("whole")
    done = run(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_leaves_one_record_and_a_picture(whole: Path) -> None:
    record = finished(whole)
    assert record.scores.keys() == {"sample/mse", "sample/mae", "sample/validation_mse"}
    assert record.counts["windows/sample/mse"] == WINDOWS
    assert record.counts["steps"] == 40 * (209 // 40)
    assert record.settings == {"task.dataset": "sample", "task.horizon": 96}
    assert record.choices["model"] == "forecasting/rlinear"
    assert record.choices["optimizer"] == "adam"
    assert (whole / "run" / "forecasts.png").is_file()


@pytest.mark.fault("kill -9 of a forecaster's training", "resumes to the identical scores")
def test_killed_and_resumed_it_is_the_same_run(whole: Path, tmp_path: Path) -> None:
    process = subprocess.Popen(
        command(tmp_path), cwd=ROOT, env=environment(tmp_path), stderr=subprocess.PIPE, text=True,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("step 50/"):
            process.send_signal(signal.SIGKILL)
            break
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert not list(tmp_path.glob("records/*.json"))

    done = run(tmp_path, "resume=true")
    assert done.returncode == 0, done.stdout + done.stderr
    assert finished(tmp_path).scores == finished(whole).scores
    assert without_seconds(finished(tmp_path)) == without_seconds(finished(whole))


def test_the_best_weights_of_a_checkpoint_are_scored(whole: Path, tmp_path: Path) -> None:
    done = run(tmp_path, f"evaluate_only={whole}/run/last.ckpt")
    assert done.returncode == 0, done.stdout + done.stderr
    assert finished(tmp_path).scores == finished(whole).scores


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["task.dataset=ETTh3"], ["task.dataset", "ETTh3", "ETTm1", "Weather", "sample"]),
        (["task.horizon=100"], ["task.horizon", "100", "96, 192, 336, 720"]),
        (["task.horizon=720"], ["sample", "720", "task.horizon"]),
        (["task.dataset=ETTh1"], ["ETTh1.csv", "TITANS_DATA", "task.dataset=sample"]),
        (["task.training.batch=0"], ["task.training.batch"]),
        (["task.training.schedule=up"], ["schedule", "halving"]),
    ],
    ids=lambda value: value[0],
)
def test_a_wrong_command_is_refused(arguments: list[str], named: list[str], tmp_path: Path) -> None:
    done = run(tmp_path, *arguments)
    output = done.stdout + done.stderr
    assert done.returncode == 2, output
    assert "Traceback" not in output
    assert all(text in output for text in named), output
    assert not list(tmp_path.glob("records/*.json"))
