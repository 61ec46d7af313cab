"""Every command that the README prints is run, on a run made small."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.record import Record

ROOT = Path(__file__).parent.parent
BLOCKS = re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)
COMMANDS = [line for block in BLOCKS for line in block.strip().splitlines()]
SMALL = [
    "task.steps=2",
    "task.curriculum={128: 0}",
    "task.data.tokens_per_batch=256",
    "task.prompts={niah_single_1: 1, niah_single_2: 0, niah_single_3: 0}",
    # No prose, so no network.
    "task.needles.niah_single_2=0.0",
    "hardware.threads=1",
    "logger=csv",
]


LANGUAGE = [
    "task.corpus=data/samples/text/verses.jsonl",
    "task.held_out=0.2",
    "task.vocabulary=400",
    "task.length=64",
    "task.step_tokens=128",
    "task.tokens=256",
    "hardware.threads=1",
    "logger=csv",
]
THROUGHPUT = ["task.lengths=[64]", "task.tokens=64", "hardware.threads=1", "logger=csv"]


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    needles = not any(word in command for word in ("task=throughput", "task=lm"))
    small = SMALL if needles else LANGUAGE if "task=lm" in command else THROUGHPUT
    if "dry_run=true" in command:
        small, needles = [], False
    small = [*small, f"records={folder}/records", f"hydra.sweep.dir={folder}/outputs"]
    if needles and not any(word.startswith("task.lengths") for word in command):
        small.append("task.lengths=[1024]")
    if "-m" in command:
        small = [word.replace("{128: 0}", "{128:0}") for word in small]
    else:
        small.append(f"hydra.run.dir={folder}/outputs")
    if command[0] == "make":
        # Neither the environment is made again, nor the tests from within the tests.
        make = ["make", "-o", ".venv/.stamp", f"PY={sys.executable}"]
        rest = ["-n"] if command[1] == "test" else [f"ARGS={shlex.join(small)}"]
        command = [*make, *rest, *command[1:]]
    elif "run.py" in command:
        command = [sys.executable, *command[1:]]
        command += [] if "--help" in command else small
    else:
        command = [sys.executable, *command[1:]]
    command = [word.replace("last.ckpt", f"{folder}/outputs/last.ckpt") for word in command]
    command = [f"{folder}/out" if word == "out/" else word for word in command]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "WANDB_MODE": "offline"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("readme")
    done = run(["python", "run.py", "model=mac", "task=niah"], folder)
    assert done.returncode == 0, done.stderr
    return folder


def test_readme_has_the_two_commands() -> None:
    assert "make run" in COMMANDS
    assert "make test" in COMMANDS


@pytest.mark.parametrize("line", [c for c in COMMANDS if c != "python -m experiments report"])
def test_command(line: str, trained: Path, tmp_path: Path) -> None:
    folder = trained if "resume" in line or "evaluate_only" in line else tmp_path
    if "titans.export" in line:
        assert run(["python", "run.py", "model=mac", "task=lm"], folder).returncode == 0
    done = run(shlex.split(line), folder)
    assert done.returncode == 0, done.stdout + done.stderr
    if "run.py" in line and "--help" not in line and "dry_run" not in line:
        found = sorted((folder / "records").glob("*.json"), key=lambda path: path.stat().st_mtime)
        assert Record.read(found[-1]).status == "finished"
        assert len(found) == 4 if "-m" in line.split() else True


def test_report_is_what_the_records_say(tmp_path: Path) -> None:
    copy = tmp_path / "project"
    for part in ("experiments", "conf"):
        shutil.copytree(ROOT / part, copy / part)
    shutil.copy(ROOT / "README.md", copy)
    report = [sys.executable, "-m", "experiments", "report"]
    done = subprocess.run(report, cwd=copy, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for page in (ROOT / "README.md", *(ROOT / "experiments").glob("*/README.md")):
        assert (copy / page.relative_to(ROOT)).read_text() == page.read_text(), page
