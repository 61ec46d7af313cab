"""`python run.py task=niah`, small enough for a test: trained to its end, or interrupted."""

import csv
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import torch

from experiments.record import Record

ROOT = Path(__file__).parents[1]
STEPS = 120
SMALL = [
    "hardware=cpu",
    "hardware.threads=1",
    f"task.steps={STEPS}",
    "task.data.length=128",
    "task.data.tokens_per_batch=256",
    "task.data.least_prompts=1",
    "task.objective.warmup=5",
    "task.lengths=[1024]",
    "task.prompts={niah_single_1: 2, niah_single_2: 0, niah_single_3: 0}",
    # No prose, so no network.
    "task.needles.niah_single_2=0.0",
    "checkpoint_every=1000",
    "logger=csv",
]


class Run(NamedTuple):
    """A command that has ended."""

    code: int
    output: str
    errors: str
    folder: Path

    @property
    def checkpoint(self) -> Path:
        return self.folder / "run" / "last.ckpt"

    @property
    def records(self) -> list[Record]:
        return [Record.read(path) for path in sorted(self.folder.glob("records/*.json"))]

    @property
    def record(self) -> Record:
        (record,) = self.records
        return record

    @property
    def losses(self) -> dict[int, str]:
        """Step to loss as logged, of all attempts in turn."""
        found: dict[int, str] = {}
        for path in sorted(self.folder.glob("run/csv/version_*/metrics.csv")):
            with path.open(encoding="utf-8") as file:
                rows = {int(r["step"]): r["train/loss"] for r in csv.DictReader(file)
                        if r["train/loss"]}  # fmt: skip
            assert not found.keys() & rows.keys(), "a step was logged twice"
            found |= rows
        return found


def command(folder: Path, *arguments: str) -> list[str]:
    places = [f"hydra.run.dir={folder}/run", f"records={folder}/records"]
    flags = [argument for argument in arguments if argument.startswith("-")]
    overrides = [argument for argument in arguments if argument not in flags]
    return [sys.executable, str(ROOT / "run.py"), *flags, *SMALL, *places, *overrides]


def environment() -> dict[str, str]:
    quiet = {"OMP_NUM_THREADS": "1", "WANDB_MODE": "offline", "HF_HUB_OFFLINE": "1"}
    return os.environ | quiet | {"COLUMNS": "200", "PYTHONUNBUFFERED": "1"}


def run(folder: Path, *arguments: str) -> Run:
    done = subprocess.run(
        command(folder, *arguments),
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return Run(done.returncode, done.stdout, done.stderr, folder)


def interrupted(folder: Path, number: signal.Signals, *arguments: str) -> Run:
    """A run that is sent a signal as soon as it says that it is at step 50."""
    process = subprocess.Popen(
        command(folder, *arguments),
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    said = ""
    for line in process.stderr:
        said += line
        if line.startswith("step 50/"):
            process.send_signal(number)
            break
    output, errors = process.communicate(timeout=120)
    return Run(process.returncode, output, said + errors, folder)


def weights(path: Path) -> dict[str, torch.Tensor]:
    return torch.load(path, weights_only=True)["state_dict"]


def assert_refused(done: Run, *named: str) -> None:
    text = done.output + done.errors
    assert done.code not in (0, 130), text
    assert "Traceback" not in text
    assert all(name in text for name in named), text
