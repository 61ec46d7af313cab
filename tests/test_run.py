"""`python run.py` from end to end: records, interruption, resumption, divergence."""

import re
import shutil
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from omegaconf import DictConfig, OmegaConf

from experiments.record import FAILED, FINISHED, NOTE
from tests.needles import STEPS, Run, assert_refused, interrupted, run, weights


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
    assert done.record.configuration == trained.record.configuration
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

    early = run(tmp_path / "early", "model=mac", f"evaluate_only={stopped.checkpoint}")
    assert early.code == 0, early.output + early.errors
    assert (early.record.status, len(early.record.scores)) == (FAILED, 1)
    assert f"step {step}, before its training ended" in early.record.error

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


@pytest.mark.fault(
    "a loss that is NaN or infinite", "said with its step and a mend, recorded, the batch kept"
)
@pytest.mark.slow
def test_a_loss_that_is_no_number_is_said_and_recorded(tmp_path: Path) -> None:
    done = run(tmp_path, "model=lmm", "optimizer.lr=1e9")
    assert done.record.status == FAILED
    assert "the loss is" in done.record.error
    path = tmp_path / "run" / "diverged.pt"
    assert_refused(done, "the loss is", "optimizer.lr", f"the batch is in {path}")
    kept = torch.load(path, weights_only=True)
    assert f"at step {kept['step']}:" in done.record.error
    assert kept["batch"].keys() == {"tokens", "targets", "asked"}


@pytest.mark.slow
def test_what_a_diverged_run_is_advised_to_set_exists(
    tmp_path: Path, compose: Callable[..., DictConfig]
) -> None:
    done = run(tmp_path, "model=lmm", "optimizer.lr=1e9")
    settings = re.findall(r"\(([a-z_]+(?:\.[a-z_]+)+)\)", done.record.error)
    assert "optimizer.lr" in settings
    config = compose("model=lmm")
    assert all(OmegaConf.select(config, setting) is not None for setting in settings), settings


@pytest.mark.fault("Ctrl-C in an evaluation", "resumes, and keeps what was scored")
def test_a_resumed_run_keeps_the_scores_it_had(trained: Run, tmp_path: Path) -> None:
    shutil.copytree(trained.folder / "run", tmp_path / "run")
    scores = trained.record.scores | {"niah_single_1/512": 50.0}
    left = replace(trained.record, status=FAILED, error="Interrupted", scores=scores)
    (tmp_path / "run" / NOTE).write_text(str(left.write(tmp_path / "records")))
    done = run(tmp_path, "model=mac", "seed=3", "resume=true")
    assert done.code == 0, done.output + done.errors
    assert done.record.status == FINISHED
    assert done.record.scores == scores
    assert done.record.counts.keys() == trained.record.counts.keys()


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
