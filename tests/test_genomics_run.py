"""Classification from the command line: on the sample, killed and resumed, and what is refused."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.record import FINISHED, Record

ROOT = Path(__file__).parents[1]
SMALL = [
    # With two signs, since a model that a test chooses instead has no such length.
    *("model=hyena", "++model.length=64", "task=genomics", "task.dataset=sample"),
    "task.training={batch: 40, epochs: 8, patience: 8, warmup: 10}",
    *("hardware=cpu", "hardware.threads=1", "checkpoint_every=10", "logger=none"),
]


def command(folder: Path, *arguments: str) -> list[str]:
    places = [f"hydra.run.dir={folder}/run", f"records={folder}/records"]
    return [sys.executable, str(ROOT / "run.py"), *SMALL, *places, *arguments]


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """Neither a folder of real data nor a hub."""
    kept = {name: value for name, value in os.environ.items() if name != "TITANS_DATA"}
    quiet = {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1", "COLUMNS": "200"}
    offline = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "hub")}
    return subprocess.Popen(
        command(folder, *arguments), cwd=ROOT, env=kept | quiet | offline, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def run(folder: Path, *arguments: str) -> tuple[int, str]:
    process = start(folder, *arguments)
    output, errors = process.communicate(timeout=120)
    return process.returncode, output + errors


def finished(folder: Path) -> Record:
    (path,) = folder.glob("records/*.json")
    record = Record.read(path)
    assert record.status == FINISHED
    return record


def without_seconds(record: Record) -> dict[str, float | None]:
    return {k: v for k, v in record.counts.items() if not k.startswith(("seconds", "peak"))}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An undisturbed run."""
    folder = tmp_path_factory.mktemp("whole")
    code, output = run(folder)
    assert code == 0, output
    assert "sample is a stand-in: no set of GenomicsBenchmarks" in output
    return folder


def test_leaves_one_record_and_a_picture(whole: Path) -> None:
    record = finished(whole)
    names = {f"sample/stand_in_{name}" for name in ("acc", "mcc", "validation_acc")}
    assert record.scores.keys() == names
    assert record.scores["sample/stand_in_acc"] > 90, "it learns where TATAAA is"  # type: ignore[operator]
    assert record.counts["sequences/sample/stand_in_acc"] == 200
    assert record.counts["steps"] == 8 * (360 // 40)
    assert record.choices["optimizer"] == "adamw"
    assert (whole / "run" / "confusion.png").is_file()


@pytest.mark.fault("kill -9 of a classification", "resumes to the identical scores")
def test_killed_and_resumed_it_is_the_same_run(whole: Path, tmp_path: Path) -> None:
    process = start(tmp_path)
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("step 50/"):
            process.send_signal(signal.SIGKILL)
            break
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    code, output = run(tmp_path, "resume=true")
    assert code == 0, output
    assert finished(tmp_path).scores == finished(whole).scores
    assert without_seconds(finished(tmp_path)) == without_seconds(finished(whole))


def test_a_fold_is_labelled_as_one(tmp_path: Path) -> None:
    code, output = run(tmp_path, "task.folds=5", "task.fold=4", "task.training.epochs=1")
    assert code == 0, output
    assert "sample: cross-validated on the test part, fold 4 of 0 to 4" in output
    record = finished(tmp_path)
    assert all("/stand_in_cross_validated_" in name for name in record.scores)
    assert record.counts["sequences/sample/stand_in_cross_validated_acc"] == 40


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["task.dataset=worm"], ["task.dataset", "worm", "human_enhancers_cohn", "sample"]),
        (
            ["task.dataset=human_ocr_ensembl"],
            ["Genomic_Benchmarks_human_ocr_ensembl", "TITANS_DATA", "task.dataset=sample"],
        ),
        (["task.training.batch=1000"], ["360", "1000", "task.training.batch"]),
        (["model=genomics/dnabert"], ["zhihan1996/DNA_bert_6", "hub", "model.checkpoint=FOLDER"]),
    ],
    ids=lambda value: value[0],
)
def test_a_wrong_command_is_refused(arguments: list[str], named: list[str], tmp_path: Path) -> None:
    code, output = run(tmp_path, *arguments)
    assert code == 2, output
    assert "Traceback" not in output
    assert all(text in output for text in named), output
    assert not list(tmp_path.glob("records/*.json"))
