"""Pre-training on DNA from the command line: killed and resumed, and what is refused."""

import csv
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from experiments.record import FINISHED, Record

ROOT = Path(__file__).parents[1]
STEPS = 120
SMALL = [
    "model=lmm",
    "task=genomics_pretrain",
    f"task.steps={STEPS}",
    "task.batch=4",
    "task.block=500",
    "task.length=64",
    "task.curriculum=[[16, 30], [32, 30]]",
    "task.objective.warmup=5",
    "hardware=cpu",
    "hardware.threads=1",
    "checkpoint_every=20",
    "logger=csv",
]


@pytest.fixture(scope="module")
def fasta(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A genome in which the same few words follow one another, which order 1 cannot tell."""
    rng = np.random.default_rng(0)
    words = rng.choice(["ACGTTG", "TTGACC", "GGATCA", "CATNAC"], 1700)
    path = tmp_path_factory.mktemp("genome") / "words.fa"
    path.write_text(f">one\n{''.join(words)}\n", encoding="ascii")
    return path


def command(folder: Path, fasta: Path, *arguments: str) -> list[str]:
    places = [f"hydra.run.dir={folder}/run", f"records={folder}/records", f"task.fasta={fasta}"]
    return [sys.executable, str(ROOT / "run.py"), *SMALL, *places, *arguments]


def environment(folder: Path) -> dict[str, str]:
    quiet = {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1", "COLUMNS": "200"}
    return os.environ | quiet | {"TITANS_CACHE": str(folder / "cache")}


def run(folder: Path, fasta: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(folder, fasta, *arguments),
        cwd=ROOT,
        env=environment(folder),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def finished(folder: Path) -> Record:
    records = [Record.read(path) for path in folder.glob("records/*.json")]
    (record,) = (record for record in records if record.status == FINISHED)
    return record


def losses(folder: Path) -> dict[int, str]:
    """Step to loss as logged, of the attempts in turn: the last one that came to a step counts."""
    found: dict[int, str] = {}
    for path in sorted(folder.glob("run/csv/version_*/metrics.csv")):
        with path.open(encoding="utf-8") as file:
            found |= {int(r["step"]): r["train/loss"] for r in csv.DictReader(file)
                      if r["train/loss"]}  # fmt: skip
    return found


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, fasta: Path) -> Path:
    """An undisturbed run."""
    folder = tmp_path_factory.mktemp("whole")
    done = run(folder, fasta)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_leaves_both_models_bits_in_one_record(whole: Path) -> None:
    record = finished(whole)
    for part in ("validation", "test"):
        bits, mark = (record.scores[f"words/{part}/{name}"] for name in ("bits", "markov4_bits"))
        assert bits is not None
        assert mark is not None
        assert record.scores[f"words/{part}/below_markov4"] == pytest.approx(mark - bits, abs=1e-3)
        assert 0 < bits < 2
    # Blocks of 500 among 10,200 nucleotides: two of twenty and one of the last; every sixth
    # of a fourth of the words is unknown.
    assert 900 < record.counts["nucleotides/words/test/bits"] < 1000
    assert record.counts["tokens"] == 4 * (30 * 16 + 30 * 32 + 60 * 64)


@pytest.mark.fault("kill -9 of a pre-training on DNA", "resumes to the identical losses and scores")
def test_killed_and_resumed_it_is_the_same_run(whole: Path, fasta: Path, tmp_path: Path) -> None:
    process = subprocess.Popen(
        command(tmp_path, fasta), cwd=ROOT, env=environment(tmp_path), stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("step 50/"):
            process.send_signal(signal.SIGKILL)
            break
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert not list(tmp_path.glob("records/*.json"))

    done = run(tmp_path, fasta, "resume=true")
    assert done.returncode == 0, done.stdout + done.stderr
    assert finished(tmp_path).scores == finished(whole).scores
    assert finished(tmp_path).counts["tokens"] == finished(whole).counts["tokens"]
    ours, theirs = losses(tmp_path), losses(whole)
    # What was not yet written when it was killed is lost; from the checkpoint on all is there.
    assert {step for step in theirs if step >= 60} <= ours.keys() <= theirs.keys()
    assert all(ours[step] == theirs[step] for step in ours)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["task.bed=/nowhere/some.bed"], ["/nowhere/some.bed"]),
        (["task.curriculum=[[1024, 10]]"], ["task.curriculum", "task.length=64"]),
        (["task.reverse_complement=5"], ["task.reverse_complement", "true or false"]),
    ],
    ids=lambda value: value[0],
)
def test_a_wrong_command_is_refused(
    fasta: Path, arguments: list[str], named: list[str], tmp_path: Path
) -> None:
    done = run(tmp_path, fasta, *arguments)
    output = done.stdout + done.stderr
    assert done.returncode == 2, output
    assert "Traceback" not in output
    assert all(text in output for text in named), output
    assert not list(tmp_path.glob("records/*.json"))
