"""`python run.py` from end to end: records, interruption, resumption, and what it must refuse."""

import csv
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from omegaconf import DictConfig, OmegaConf

from experiments.record import FAILED, FINISHED, Record

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
MARK = "executed.txt"


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


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """One undisturbed run."""
    done = run(tmp_path_factory.mktemp("trained"), "model=mac", "seed=3")
    assert done.code == 0, done.output + done.errors
    return done


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


def test_leaves_one_record(trained: Run) -> None:
    record = trained.record
    assert (record.status, record.error, record.seed) == (FINISHED, "", 3)
    assert record.choices["model"] == "mac"
    assert record.choices["task"] == "niah"
    assert record.choices["scale"] == "tiny"
    assert {"seed=3", f"task.steps={STEPS}"} <= set(record.overrides)
    assert {"network", "data", "optimizer"} < record.configuration.keys()
    assert record.scores.keys() == {"niah_single_1/1024"}
    assert record.counts["steps"] == STEPS
    assert record.counts["prompts/niah_single_1/1024"] == 2
    assert record.counts["parameters"] == sum(
        w.numel() for w in weights(trained.checkpoint).values()
    )
    assert 0 < record.counts["tokens"] <= 256 * STEPS
    assert record.seconds > 0


def test_prints_scores_and_the_path_of_the_record_last(trained: Run) -> None:
    lines = trained.output.strip().splitlines()
    (path,) = trained.folder.glob("records/*.json")
    assert lines[-1] == str(path)
    assert "niah_single_1" in "".join(lines[:-1])
    assert "Traceback" not in trained.output + trained.errors
    assert "Warning" not in trained.output + trained.errors


def test_the_loss_falls(trained: Run) -> None:
    losses = [float(loss) for loss in trained.losses.values()]
    assert len(losses) == STEPS // 10
    assert losses[-1] < 0.7 * losses[0]


def test_scores_a_checkpoint_as_the_run_that_made_it(trained: Run, tmp_path: Path) -> None:
    done = run(tmp_path, "model=mac", f"evaluate_only={trained.checkpoint}")
    assert done.code == 0, done.output + done.errors
    assert done.record.status == FINISHED
    assert done.record.seed == 3
    assert "seed=3" in done.record.overrides
    assert done.record.configuration == {}
    assert done.record.scores == trained.record.scores
    for name in ("steps", "tokens", "parameters"):
        assert done.record.counts[name] == trained.record.counts[name]
    assert not done.checkpoint.exists()


@pytest.mark.fault(
    "Ctrl-C in a training", "saves, and resumes to the identical losses, weights and scores"
)
def test_goes_on_where_it_was_interrupted(trained: Run, tmp_path: Path) -> None:
    stopped = interrupted(tmp_path, signal.SIGINT, "model=mac", "seed=3")
    assert stopped.code == 130, stopped.output + stopped.errors
    assert "resume=true" in stopped.output + stopped.errors
    assert "Traceback" not in stopped.output + stopped.errors
    step = torch.load(stopped.checkpoint, weights_only=True)["global_step"]
    assert 50 <= step < STEPS
    assert stopped.record.status == FAILED

    resumed = run(tmp_path, "model=mac", "seed=3", "resume=true")
    assert resumed.code == 0, resumed.output + resumed.errors
    # Lightning logs the step of an interruption too.
    assert {step: resumed.losses[step] for step in trained.losses} == trained.losses
    ours, theirs = weights(resumed.checkpoint), weights(trained.checkpoint)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    finished = [record for record in resumed.records if record.status == FINISHED]
    assert [record.scores for record in finished] == [trained.record.scores]
    assert finished[0].counts["tokens"] == trained.record.counts["tokens"]


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


@pytest.mark.fault(
    "a loss that is NaN or infinite", "said with its step and a mend, recorded, the batch kept"
)
@pytest.mark.slow
def test_a_loss_that_is_no_number_is_said_and_recorded(tmp_path: Path) -> None:
    done = run(tmp_path, "model=lmm", "scale.lr=1e9")
    assert done.record.status == FAILED
    assert "the loss is" in done.record.error
    path = tmp_path / "run" / "diverged.pt"
    assert_refused(done, "the loss is", "scale.lr", f"the batch is in {path}")
    kept = torch.load(path, weights_only=True)
    assert f"at step {kept['step']}:" in done.record.error
    assert kept["batch"].keys() == {"tokens", "targets", "asked"}


@pytest.mark.slow
def test_what_a_diverged_run_is_advised_to_set_exists(
    tmp_path: Path, compose: Callable[..., DictConfig]
) -> None:
    done = run(tmp_path, "model=lmm", "scale.lr=1e9")
    settings = re.findall(r"\(([a-z_]+(?:\.[a-z_]+)+)\)", done.record.error)
    assert "scale.lr" in settings
    config = compose("model=lmm")
    assert all(OmegaConf.select(config, setting) is not None for setting in settings), settings


@pytest.mark.slow
def test_the_same_command_gives_the_same_numbers(trained: Run, tmp_path: Path) -> None:
    again = run(tmp_path, "model=mac", "seed=3")
    assert again.losses == trained.losses
    assert again.record.scores == trained.record.scores
    other = run(tmp_path / "other", "model=mac", "seed=4")
    assert other.losses != trained.losses


@pytest.mark.fault("SIGTERM from a scheduler", "saves a checkpoint, and ends")
@pytest.mark.slow
def test_sigterm_saves_too(tmp_path: Path) -> None:
    stopped = interrupted(tmp_path, signal.SIGTERM, "model=lmm")
    assert stopped.code not in (0, -signal.SIGTERM)
    assert torch.load(stopped.checkpoint, weights_only=True)["global_step"] >= 50


@pytest.mark.slow
def test_accumulation_trains_on_as_many_steps(tmp_path: Path) -> None:
    accumulate = "hardware.micro_batch=2"
    done = run(tmp_path, "model=lmm", "task.steps=6", accumulate)
    assert done.code == 0, done.output + done.errors
    assert done.record.counts["steps"] == 6
    assert torch.load(done.checkpoint, weights_only=True)["global_step"] == 6
