"""Sweeps from the command line: cut and started again, and with a run that fails."""

import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from experiments.checks import Halted
from experiments.record import FINISHED, Record
from experiments.sweep import check_slurm, name
from tests.needles import ROOT, environment

SMALL = [
    "task=niah",
    "task.steps=60",
    "task.data.tokens_per_batch=256",
    "task.data.least_prompts=1",
    "task.objective.warmup=5",
    "task.lengths=[1024]",
    "task.prompts={niah_single_1:1,niah_single_2:0,niah_single_3:0}",
    # No prose, so no network.
    "task.needles.niah_single_2=0.0",
    "checkpoint_every=20",
    "hardware=cpu",
    "logger=none",
]
FAILING = ["model=mac", "model.segment=33,64", "task.steps=2"]


def command(folder: Path, *arguments: str) -> list[str]:
    places = [f"hydra.sweep.dir={folder}/outputs", f"records={folder}/records"]
    return [sys.executable, str(ROOT / "run.py"), "-m", *SMALL, *places, *arguments]


def sweep(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(folder, *arguments),
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def killed(folder: Path, models: str, at: str) -> str:
    """What a sweep said until it was killed, when the second of its runs was at a step."""
    process = subprocess.Popen(
        command(folder, f"model={models}"),
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    said = ""
    for line in process.stderr:
        said += line
        if said.count(f"step {at}/") == 2:
            process.send_signal(signal.SIGKILL)
            break
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL, said
    return said


def finished(folder: Path) -> dict[str, Record]:
    """Model to record."""
    records = [Record.read(path) for path in folder.glob("records/*.json")]
    assert all(record.status == FINISHED for record in records)
    found = {record.choices["model"]: record for record in records}
    assert len(found) == len(records)
    return found


@pytest.mark.fault("kill -9 of a sweep", "started again, it runs what is missing")
def test_killed_and_started_again_it_runs_what_is_missing(tmp_path: Path) -> None:
    killed(tmp_path, "lmm,mag,mal", at="50")
    before = finished(tmp_path)
    assert before.keys() == {"lmm"}

    done = sweep(tmp_path, "model=lmm,mag,mal")
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    after = finished(tmp_path)
    assert after.keys() == {"lmm", "mag", "mal"}
    assert after["lmm"] == before["lmm"]
    assert re.findall("Recorded already.*-(lmm|mag|mal)-", said) == ["lmm"]
    assert re.findall("Goes on from .*-(lmm|mag|mal)-", said) == ["mag"]
    assert after["mag"].counts["tokens"] == after["mal"].counts["tokens"]


@pytest.mark.fault("a run of a sweep that fails", "the others run, it is listed")
@pytest.mark.parametrize(
    "launcher",
    [
        "basic",
        pytest.param("joblib", marks=pytest.mark.slow),
        pytest.param("submitit_local", marks=pytest.mark.slow),
    ],
)
def test_one_failing_run_leaves_the_others_and_is_listed(launcher: str, tmp_path: Path) -> None:
    done = sweep(tmp_path, *FAILING, f"hydra/launcher={launcher}")
    assert done.returncode == 1
    assert finished(tmp_path).keys() == {"mac"}
    end = done.stderr[done.stderr.index("1 of the runs failed") :]
    assert "model.segment=33" in end
    assert "model.segment=64" not in end
    assert "a segment of 33 tokens" in end
    (log,) = re.findall(r"log: (\S+)", end)
    assert "a segment of 33 tokens" in (ROOT / log).read_text()
    assert "Traceback" not in done.stdout + done.stderr


def test_the_same_command_is_the_same_sweep() -> None:
    typed = ["experiment=table2", "task.steps=5", "hardware.threads=1"]
    assert name(typed) == name(["task.steps=5", "experiment=table2", "logger=none"])
    assert name(typed).startswith("table2-")
    assert name(typed) != name(["experiment=table2"])


@pytest.mark.fault("Slurm chosen where it is not", "refused before anything is computed")
@pytest.mark.parametrize(("place", "said"), [(None, "no srun"), ("/bin/srun", "partition=NAME")])
def test_slurm_is_refused_where_it_would_fail(
    place: str | None, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: place)
    launcher = {"_target_": "some.SlurmLauncher", "partition": "???"}
    with pytest.raises(Halted, match=said):
        check_slurm(OmegaConf.create({"hydra": {"launcher": launcher}}))


def test_a_search_of_needles_is_judged_by_prompts_that_were_not_trained_on(tmp_path: Path) -> None:
    trials = ["search=true", "model=lmm", "task.steps=2", "task.data.length=128"]
    done = sweep(tmp_path, *trials, "optimizer.lr=1e-3,2e-3")
    assert done.returncode == 0, done.stdout + done.stderr
    records = [Record.read(path) for path in tmp_path.glob("records/*.json")]
    assert [list(record.scores) for record in records] == [["validation/error"]] * 2
    assert all(record.counts["sequences/validation/error"] == 64 * 2 for record in records)


@pytest.mark.slow
def test_a_search_stops_the_hopeless_and_is_judged_by_validation(tmp_path: Path) -> None:
    search = [
        *("hydra/sweeper=learning_rate", "hydra.sweeper.n_trials=8", "task=timeseries"),
        *("model=forecasting/rlinear", "task.dataset=sample", "hardware=cpu", "logger=none"),
        "task.training={batch:40,epochs:12,patience:12,schedule:constant}",
        *(f"hydra.sweep.dir={tmp_path}/outputs", f"records={tmp_path}/records"),
    ]

    def start() -> str:
        done = subprocess.run([sys.executable, str(ROOT / "run.py"), "-m", *search], cwd=ROOT,
                              env=environment(), capture_output=True, text=True)  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return (tmp_path / "outputs/optimization_results.yaml").read_text()

    found = start()
    records = [Record.read(path) for path in sorted(tmp_path.glob("records/*.json"))]
    assert len(records) == 8
    assert all(record.scores.keys() == {"validation/error"} for record in records)
    assert len({record.counts["steps"] for record in records}) > 1
    best = min(records, key=lambda record: record.scores["validation/error"] or 1e9)
    assert f"best_value: {best.scores['validation/error']}" in found
    # The same trials are proposed again, and all are recorded.
    assert start() == found
    assert len(list(tmp_path.glob("records/*.json"))) == 8
