"""Two processes on a CPU train as one does: the same losses, one record, and they end together."""

import os
import signal
import subprocess
import sys
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import pytest
import torch

from experiments.record import FAILED, FINISHED
from tests.ended import Ended, write_tides

ROOT = Path(__file__).parents[1]
STEPS, SEQUENCES = 50, 8
SMALL = [
    *("task=lm", "scale.dim=32", "scale.layers=1", "hardware.threads=1", "logger=csv"),
    *("task.vocabulary=300", "task.held_out=0.2", "task.length=64", "checkpoint_every=20"),
    *(f"task.step_tokens={SEQUENCES * 64}", f"task.tokens={STEPS * SEQUENCES * 64}"),
]
# Of `hardware.micro_batch` sequences each, on two devices of a CPU.
TWO = ["hardware.trainer.accelerator=cpu", "hardware.trainer.devices=2", "hardware.workers=0"]
# Each process notes its losses; one of them sends itself a signal at the batch with a number.
WATCHED = """
import os
from pathlib import Path
from titans.tasks import NextToken
folder = Path(os.environ["LOSSES"])
rank = os.environ.get("LOCAL_RANK") or os.environ.get("SLURM_PROCID", "0")
def watched(train, seen):
    def training_step(self, batch):
        seen.append(0)
        if os.environ["SIGNAL"] == f"{rank}/{len(seen)}":
            os.kill(os.getpid(), int(os.environ["NUMBER"]))
        loss = train(self, batch)
        with (folder / f"losses-{rank}.txt").open("a") as file:
            file.write(f"{self.global_step} {loss.item()!r}\\n")
        return loss
    return training_step
NextToken.training_step = watched(NextToken.training_step, [])
exec(compile(Path("run.py").read_text(), str(Path("run.py").absolute()), "exec"))
"""


@dataclass(frozen=True)
class Run(Ended):
    """A run whose batches were watched."""

    seconds: float

    @property
    def losses(self) -> list[float]:
        """Of each step, the mean over its batches on all processes."""
        found: dict[tuple[str, int], list[float]] = defaultdict(list)
        for path in self.folder.glob("losses-*.txt"):
            before = -1
            for line in path.read_text().splitlines():
                step, loss = line.split()
                if int(step) < before:
                    # Resumed: what was begun again counts.
                    for key in [k for k in found if k[0] == path.name and k[1] >= int(step)]:
                        del found[key]
                found[path.name, before := int(step)].append(float(loss))
        steps = sorted({step for _, step in found})
        return [mean(x for (_, at), all_ in found.items() if at == s for x in all_) for s in steps]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tides(tmp_path_factory.mktemp("corpus"), 200)


def run(
    corpus: Path,
    folder: Path,
    *arguments: str,
    at: str = "",
    number: int = signal.SIGKILL,
    task: dict[str, str] | None = None,
) -> Run:
    """Runs a command; `at` is RANK/BATCH, where a process sends itself the signal `number`."""
    script = corpus.parent / "watched.py"
    script.write_text(WATCHED)
    places = [f"hydra.run.dir={folder}/run", f"records={folder}/records", f"task.corpus={corpus}"]
    own = {"TITANS_CACHE": str(corpus.parent / "cache"), "PYTHONPATH": str(ROOT), "SIGNAL": at}
    own |= {"NUMBER": str(int(number)), "LOSSES": str(folder), "OMP_NUM_THREADS": "1"}
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, str(script), *SMALL, *places, *arguments],
        cwd=ROOT,
        env=os.environ | own | (task or {}),
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    return Run(done.returncode, done.stdout + done.stderr, folder, time.monotonic() - began)


@pytest.fixture(scope="module")
def alone(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """What one process makes of it."""
    found = {}
    for model in ("mac", "transformer"):
        folder = tmp_path_factory.mktemp(model)
        found[model] = run(corpus, folder, "hardware=cpu", f"model={model}")
        assert found[model].code == 0, found[model].said
    return found


def assert_same(ours: Run, theirs: Run) -> None:
    assert len(theirs.losses) == STEPS
    assert ours.losses == pytest.approx(theirs.losses, rel=1e-5)
    assert ours.record.status == FINISHED
    assert ours.record.counts["tokens"] == theirs.record.counts["tokens"] == STEPS * SEQUENCES * 64
    assert ours.record.scores == pytest.approx(theirs.record.scores, rel=1e-3)
    pairs = zip(ours.state["state_dict"].items(), theirs.state["state_dict"].items(), strict=True)
    for (name, weight), (same, expected) in pairs:
        assert name == same
        torch.testing.assert_close(weight, expected, rtol=1e-3, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["mac", "transformer"])
@pytest.mark.parametrize("hardware", ["ddp", "fsdp"])
def test_two_processes_have_the_losses_of_one(
    alone: dict[str, Run], corpus: Path, tmp_path: Path, model: str, hardware: str
) -> None:
    settings = ["hardware.micro_batch=2", "hardware.activation_checkpointing=true"]
    done = run(corpus, tmp_path, f"hardware={hardware}", f"model={model}", *TWO, *settings)
    assert done.code == 0, done.said
    assert_same(done, alone[model])
    # Rank zero alone scores, logs and records.
    assert done.said.count("tides/token_perplexity") == 1
    assert done.record.machine["processes"] == 2
    assert len(list(tmp_path.glob("run/csv/version_*"))) == 1
    assert sorted(p.name for p in tmp_path.glob("losses-*.txt")) == ["losses-0.txt", "losses-1.txt"]


@pytest.mark.slow
@pytest.mark.parametrize("hardware", ["ddp", "fsdp"])
def test_segments_have_the_losses_of_one_process(
    corpus: Path, tmp_path: Path, hardware: str
) -> None:
    command = ["model=mac", "task.tbptt=16"]
    one = run(corpus, tmp_path / "one", *command, "hardware=cpu")
    two = run(corpus, tmp_path / "two", *command, f"hardware={hardware}", *TWO)
    assert (one.code, two.code) == (0, 0), one.said + two.said
    assert_same(two, one)


@pytest.mark.slow
def test_processes_that_slurm_starts_on_two_machines_are_one_run(
    alone: dict[str, Run], corpus: Path, tmp_path: Path
) -> None:
    job = {"JOB_ID": "7", "JOB_NAME": "x", "NTASKS": "2", "NTASKS_PER_NODE": "1", "NNODES": "2"}
    job |= {"NODELIST": "127.0.0.1", "LOCALID": "0"}
    devices = ["hardware.trainer.devices=1", "hardware.trainer.num_nodes=2"]

    def one(rank: int) -> Run:
        place = {"PROCID": str(rank), "NODEID": str(rank)}
        task = {f"SLURM_{name}": value for name, value in (job | place).items()}
        command = ["hardware=fsdp", "model=mac", *TWO, *devices]
        return run(corpus, tmp_path, *command, task=task | {"MASTER_ADDR": "127.0.0.1"})

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(one, (0, 1))
    assert (first.code, second.code) == (0, 0), first.said + second.said
    assert_same(first, alone["mac"])
    assert "perplexity" not in second.said


@pytest.mark.fault(
    "Ctrl-C, then another number of processes", "resumes to the losses of one process"
)
@pytest.mark.slow
@pytest.mark.parametrize("hardware", [("fsdp", "cpu"), ("cpu", "fsdp")], ids=str)
def test_another_number_of_processes_goes_on_the_same(
    alone: dict[str, Run], corpus: Path, tmp_path: Path, hardware: tuple[str, str]
) -> None:
    first, then = (
        [f"hardware={name}", "model=mac", *(TWO if name != "cpu" else [])] for name in hardware
    )
    stopped = run(corpus, tmp_path, *first, at="0/26", number=signal.SIGINT)
    assert stopped.code == 130, stopped.said
    assert stopped.state["global_step"] == 26
    resumed = run(corpus, tmp_path, *then, "resume=true")
    assert resumed.code == 0, resumed.said
    # Optimiser states in another order would show from the first step on.
    assert_same(resumed, alone["mac"])


@pytest.mark.fault(
    "kill -9 of one of two processes", "both end soon, and resume to the losses of one"
)
@pytest.mark.slow
@pytest.mark.parametrize("hardware", ["ddp", "fsdp"])
def test_a_lost_process_ends_the_run_soon_and_it_goes_on(
    alone: dict[str, Run], corpus: Path, tmp_path: Path, hardware: str
) -> None:
    command = [f"hardware={hardware}", "model=mac", *TWO]
    killed = run(corpus, tmp_path, *command, at="1/31")
    assert killed.code == 2, killed.said
    last = killed.said.strip().splitlines()[-1]
    assert last.startswith("Process 1 of 0 to 1 was killed (SIGKILL)"), killed.said
    assert "resume=true" in last
    assert "Traceback" not in killed.said
    assert killed.record.status == FAILED
    assert killed.state["global_step"] == 20
    # It has no more to do than half of the training, and to notice.
    wrote = (tmp_path / "losses-1.txt").stat().st_mtime
    ended = next(tmp_path.glob("records/*.json")).stat().st_mtime
    assert ended - wrote < 60
    resumed = run(corpus, tmp_path, *command, "resume=true")
    assert resumed.code == 0, resumed.said
    assert_same(resumed, alone["mac"])


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["hardware=ddp", *TWO, "task.step_tokens=192"], ["2 devices", "task.step_tokens"]),
        (["hardware=cpu", "hardware.micro_batch=0"], ["hardware.micro_batch"]),
        (["hardware=cpu", "task.tbptt=48"], ["task.tbptt", "task.length"]),
        (["hardware=ddp", *TWO, "hydra.sweep.dir=SWEEP", "-m"], ["without -m", "hardware=slurm"]),
    ],
    ids=lambda value: value[-1],
)
def test_what_cannot_be_divided_is_refused(
    corpus: Path, tmp_path: Path, arguments: list[str], named: list[str]
) -> None:
    done = run(corpus, tmp_path, *(a.replace("SWEEP", f"{tmp_path}/sweep") for a in arguments))
    assert done.code in (1, 2), done.said
    assert "Traceback" not in done.said.split("failed; the others")[-1]
    assert all(text in done.said for text in named), done.said
    assert not list(tmp_path.glob("losses-*.txt"))
