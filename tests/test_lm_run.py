"""`python run.py task=lm` from end to end: killed anywhere, a resumed run is the same run."""

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from experiments.record import FINISHED
from tests.ended import Ended, write_tides

ROOT = Path(__file__).parents[1]
STEPS, ACCUMULATE, EVERY = 14, 4, 5
SMALL = [
    *("task=lm", "model=mac", "hardware=cpu", "hardware.threads=1", "logger=none"),
    *("task.vocabulary=300", "task.held_out=0.2", "task.shard_tokens=2000", "task.length=32"),
    # For six steps a quarter of it; then eight sequences a step, two at once.
    "task.curriculum=[[8,6]]",
    *("task.step_tokens=256", "task.batch=2", f"task.tokens={STEPS * 256}"),
    f"checkpoint_every={EVERY}",
]
# Notes the loss of each batch; sends itself a signal at the batch with a number, or, where that is
# negative, when half of that checkpoint is written.
WATCHED = """
import os, runpy, sys
from lightning import Trainer
from titans.tasks import NextToken
losses, number, batch = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
sys.argv = sys.argv[3:]
train, seen = NextToken.training_step, []
def watched(self, tokens):
    seen.append(0)
    if len(seen) == batch:
        os.kill(os.getpid(), number)
    loss = train(self, tokens)
    with open(losses, "a") as file:
        file.write(f"{self.global_step} {loss.item()!r}\\n")
    return loss
NextToken.training_step = watched
save, saved = Trainer.save_checkpoint, []
def halved(self, path, *rest):
    saved.append(0)
    save(self, path, *rest)
    if -len(saved) == batch:
        os.truncate(path, path.stat().st_size // 2)
        os.kill(os.getpid(), number)
Trainer.save_checkpoint = halved
runpy.run_path("run.py", run_name="__main__")
"""


@dataclass(frozen=True)
class Run(Ended):
    """A run whose batches were watched."""

    @property
    def losses(self) -> dict[int, list[str]]:
        """Step to the losses of its batches; those of a step that was begun twice are the last."""
        found: dict[int, list[str]] = {}
        before = -1
        for line in (self.folder / "losses.txt").read_text().splitlines():
            step, loss = line.split()
            if int(step) != before:
                found[before := int(step)] = []
            found[before].append(loss)
        return found


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tides(tmp_path_factory.mktemp("corpus"), 200)


def run(
    corpus: Path, folder: Path, *arguments: str, number: int = signal.SIGKILL, batch: int = 0
) -> Run:
    places = [f"hydra.run.dir={folder}/run", f"records={folder}/records", f"task.corpus={corpus}"]
    cache = {"TITANS_CACHE": str(corpus.parent / "cache"), "PYTHONPATH": str(ROOT)}
    losses = [str(folder / "losses.txt"), str(int(number)), str(batch)]
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, *losses, *SMALL, *places, *arguments],
        cwd=ROOT,
        env=os.environ | cache | {"OMP_NUM_THREADS": "1", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return Run(done.returncode, done.stdout + done.stderr, folder)


@pytest.fixture(scope="module")
def trained(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """One undisturbed run."""
    done = run(corpus, tmp_path_factory.mktemp("trained"))
    assert done.code == 0, done.said
    return done


def assert_same(resumed: Run, trained: Run) -> None:
    assert resumed.losses == trained.losses
    ours, theirs = resumed.state["state_dict"], trained.state["state_dict"]
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert resumed.state["tokens_seen"] == trained.state["tokens_seen"]
    assert resumed.record.scores == trained.record.scores


def test_scores_itself_and_the_counts_of_the_same_tokens(trained: Run) -> None:
    record = trained.record
    assert record.status == FINISHED
    metrics = ["token_perplexity", "word_perplexity", "bits_per_byte"]
    names = [*metrics, *(f"5gram_{metric}" for metric in metrics)]
    assert list(record.scores) == [f"tides/{name}" for name in names]
    assert record.counts["tokens"] == STEPS * 256
    assert record.counts["steps"] == STEPS
    assert trained.losses.keys() == set(range(STEPS))
    assert all(len(losses) == ACCUMULATE for losses in trained.losses.values())


@pytest.mark.fault(
    "kill -9 between and within the steps of a training",
    "resumes to the identical losses, weights and scores",
)
@pytest.mark.parametrize("batch", [7 * ACCUMULATE + 1, 12 * ACCUMULATE + 3], ids=["between", "in"])
def test_killed_between_or_within_steps_it_goes_on_the_same(
    trained: Run, corpus: Path, tmp_path: Path, batch: int
) -> None:
    killed = run(corpus, tmp_path, batch=batch)
    assert killed.code == -signal.SIGKILL, killed.said
    saved = killed.state["global_step"]
    assert saved == (batch - 1) // ACCUMULATE // EVERY * EVERY
    resumed = run(corpus, tmp_path, "resume=true")
    assert resumed.code == 0, resumed.said
    assert_same(resumed, trained)


@pytest.mark.fault(
    "kill -9 while a checkpoint is written", "resumes from the one before to the identical losses"
)
@pytest.mark.slow
def test_killed_within_a_checkpoint_it_goes_on_from_the_one_before(
    trained: Run, corpus: Path, tmp_path: Path
) -> None:
    killed = run(corpus, tmp_path, batch=-2)
    assert killed.code == -signal.SIGKILL, killed.said
    assert killed.state["global_step"] == EVERY
    resumed = run(corpus, tmp_path, "resume=true")
    assert resumed.code == 0, resumed.said
    assert_same(resumed, trained)
    assert not list((tmp_path / "run").glob("*.partial"))


@pytest.mark.fault(
    "Ctrl-C within a step", "ends the step, saves, and resumes to the identical losses"
)
@pytest.mark.slow
def test_stopped_within_a_step_it_ends_the_step(trained: Run, corpus: Path, tmp_path: Path) -> None:
    stopped = run(corpus, tmp_path, number=signal.SIGINT, batch=7 * ACCUMULATE + 2)
    assert stopped.code == 130, stopped.said
    assert stopped.state["global_step"] == 8
    assert stopped.state["tokens_seen"] == 8 * 256
    resumed = run(corpus, tmp_path, "resume=true")
    assert resumed.code == 0, resumed.said
    assert_same(resumed, trained)


@pytest.mark.slow
def test_how_a_step_is_accumulated_hardly_changes_it(
    trained: Run, corpus: Path, tmp_path: Path
) -> None:
    whole = run(corpus, tmp_path, "task.batch=8")
    assert whole.code == 0, whole.said
    for name, score in trained.record.scores.items():
        assert whole.record.scores[name] == pytest.approx(score, rel=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("argument", "named"),
    [
        ("task.corpus=/nowhere/text.jsonl", "/nowhere/text.jsonl"),
        ("task.step_tokens=100", "task.step_tokens"),
        ("task.tokenizer=/nowhere/tokenizer.json", "/nowhere/tokenizer.json"),
        ("task.held_out=2", "task.held_out"),
    ],
)
def test_what_cannot_be_is_refused(corpus: Path, tmp_path: Path, argument: str, named: str) -> None:
    done = run(corpus, tmp_path, argument)
    assert done.code == 2
    assert named in done.said
    assert "Traceback" not in done.said


@pytest.mark.fault("a shard that changed since its manifest", "refused by name, nothing is trained")
@pytest.mark.slow
def test_a_damaged_shard_is_refused_before_anything_is_trained(
    trained: Run, corpus: Path, tmp_path: Path
) -> None:
    (shard,) = corpus.parent.glob("cache/language/*/train-00000.bin")
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-2])
    try:
        done = run(corpus, tmp_path)
    finally:
        shard.write_bytes(whole)
    assert done.code == 2
    assert str(shard) in done.said
    assert not (tmp_path / "losses.txt").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["task.curriculum=[]", "task.validation.batches=3"], ""),
        (["task.curriculum=[]"], "task.tokens to fewer"),
        (["task.validation.batches=3"], "task.curriculum=[]"),
    ],
)
def test_a_search_is_judged_by_text_that_no_step_had(
    corpus: Path, tmp_path: Path, arguments: list[str], said: str
) -> None:
    sweep = ["hydra.mode=MULTIRUN", f"hydra.sweep.dir={tmp_path}/sweep", "search=true"]
    done = run(corpus, tmp_path, *sweep, *arguments)
    if said:
        assert done.code != 0
        assert said in done.said
        assert not (tmp_path / "losses.txt").exists()
        return
    assert done.code == 0, done.said
    assert list(done.record.scores) == ["validation/error"]
    assert done.record.counts["sequences/validation/error"] == 3 * 8


@pytest.mark.parametrize("arguments", [["task=lm"], ["experiment=language", "scale=340m"]], ids=len)
def test_a_dry_run_spends_nothing(tmp_path: Path, arguments: list[str]) -> None:
    places = [f"hydra.run.dir={tmp_path}/run", f"records={tmp_path}/records"]
    # The paper's batch does not fit on a device of 80 GB, which would be one more line.
    places.append("hardware.machine.gigabytes=1000")
    done = subprocess.run(
        [sys.executable, "run.py", "model=transformer", "dry_run=true", *arguments, *places],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1", "TITANS_CACHE": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    words = ["parameters", "tokens", "steps", "accumulation", "weights", "state", "activations"]
    assert [line.split()[0] for line in done.stdout.splitlines()] == [*words, "operations", "time"]
    assert not list((tmp_path / "records").glob("*.json"))
    assert not (tmp_path / "cache").exists()
