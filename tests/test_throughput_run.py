"""`python run.py task=throughput`: a run without training, from end to end."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.record import FAILED, FINISHED, Record

ROOT = Path(__file__).parents[1]
SMALL = [
    *("task=throughput", "model=lmm", "scale.dim=16", "task.lengths=[32,64]", "task.tokens=64"),
    *("hardware=cpu", "hardware.threads=1", "logger=csv"),
]


def command(folder: Path, *arguments: str) -> list[str]:
    places = [f"hydra.run.dir={folder}/run", f"records={folder}/records"]
    return [sys.executable, str(ROOT / "run.py"), *SMALL, *places, *arguments]


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "200", "PYTHONUNBUFFERED": "1"}
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command(folder, *arguments), cwd=ROOT, env=environment, stdout=pipe, stderr=pipe, text=True
    )


def record(folder: Path) -> Record:
    (path,) = folder.glob("records/*.json")
    return Record.read(path)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_measures_without_training(tmp_path: Path, precision: str) -> None:
    process = start(tmp_path, f"hardware.trainer.precision={precision}", "model.memory.depth=3")
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, output + errors
    assert "Traceback" not in output + errors
    assert "Warning" not in output + errors
    done = record(tmp_path)
    assert (done.status, done.error) == (FINISHED, "")
    assert len(done.scores) == 2 * (2 + 2 + 3)
    assert all(score is not None for score in done.scores.values())
    assert done.counts["batch/train/32/ktokens_per_s"] == 2
    assert done.counts["parameters"] > 0
    assert not {"tokens", "steps", "peak_memory_mb"} & done.counts.keys()
    assert done.settings["model.memory.depth"] == 3
    assert (done.machine["threads"], done.machine["precision"]) == (1, precision)
    lines = output.strip().splitlines()
    assert lines[-1] == str(next(tmp_path.glob("records/*.json")))
    assert "ms_per_token" in output
    assert "paper" not in output


@pytest.mark.fault("Ctrl-C while speed is measured", "what was measured is in the record")
def test_what_was_measured_before_an_interruption_is_kept(tmp_path: Path) -> None:
    process = start(tmp_path, "task.lengths=[32,16384]", "task.tokens=32")
    said = ""
    assert process.stdout is not None
    for line in process.stdout:
        said += line
        if line.startswith("train/32/peak_mb"):
            process.send_signal(signal.SIGINT)
            break
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 130, said + output + errors
    assert "Traceback" not in said + output + errors
    stopped = record(tmp_path)
    assert stopped.status == FAILED
    assert {"train/32/ktokens_per_s", "train/32/peak_mb"} <= stopped.scores.keys()


@pytest.mark.parametrize("more", ["resume=true", "evaluate_only=last.ckpt", "task.steps=3"])
def test_what_means_training_is_refused(tmp_path: Path, more: str) -> None:
    process = start(tmp_path, more)
    output, errors = process.communicate(timeout=120)
    assert process.returncode not in (0, 130)
    assert "Traceback" not in output + errors
    assert more.partition("=")[0] in output + errors
    assert not list(tmp_path.glob("records/*.json"))
