"""`task=commonsense`: a checkpoint is scored by lm-eval, from ours and its own command line."""

import json
import os
import subprocess
import sys
from pathlib import Path

import lm_eval.tasks
import numpy as np
import pytest

from data.commonsense import SAMPLES
from experiments.compare import compare
from experiments.record import FINISHED
from experiments.table import HERE, load
from tests.ended import Ended

ROOT = Path(__file__).parents[1]
SMALL = [
    *("model=mac", "hardware=cpu", "hardware.threads=1", "logger=none", "task.vocabulary=300"),
    *("task.held_out=0.2", "task.shard_tokens=2000", "task.length=64", "task.step_tokens=256"),
    *("task.tokens=768",),
]
SCORES = [
    *("wikitext/ppl", "lambada/ppl", "lambada/acc", "piqa/acc", "hellaswag/acc_norm"),
    *("winogrande/acc", "arc_easy/acc", "arc_challenge/acc_norm", "siqa/acc", "boolq/acc"),
]


def command(folder: Path, *arguments: str, **environment: str) -> Ended:
    own = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", "COLUMNS": "200"}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=os.environ | own | environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return Ended(done.returncode, done.stdout + done.stderr, folder)


def run(folder: Path, *arguments: str, **environment: str) -> Ended:
    places = [f"hydra.run.dir={folder}/run", f"records={folder}/records"]
    return command(folder, "run.py", *SMALL, *places, *arguments, **environment)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    """A few steps on words, scored behind them on the samples."""
    folder = tmp_path_factory.mktemp("trained")
    rng, words = np.random.default_rng(0), ["the", "tide", "goes", "out", "under", "moon"]
    texts = [" ".join(rng.choice(words, size=60)) for _ in range(40)]
    lines = "".join(json.dumps({"text": text}) + "\n" for text in texts)
    (folder / "tides.jsonl").write_text(lines)
    done = run(
        folder,
        "task=commonsense",
        "task.questions=sample",
        f"task.corpus={folder}/tides.jsonl",
        TITANS_CACHE=str(folder / "cache"),
    )
    assert done.code == 0, done.said
    return done


def test_a_training_ends_with_a_row_of_the_table(trained: Ended) -> None:
    record = trained.record
    assert record.status == FINISHED
    assert list(record.scores) == SCORES
    assert record.counts["tokens"] == 768
    assert record.counts["prompts/boolq/acc"] == 4
    assert "chance" in trained.said
    assert "average" in trained.said


def test_a_checkpoint_brings_its_tokenizer(trained: Ended, tmp_path: Path) -> None:
    # The corpus is gone: nothing of it is needed.
    done = run(
        tmp_path,
        "task=commonsense",
        "task.questions=sample",
        "task.corpus=/nowhere/text.jsonl",
        "task.limit=2",
        f"evaluate_only={trained.folder}/run/last.ckpt",
        TITANS_CACHE=str(tmp_path / "cache"),
    )
    assert done.code == 0, done.said
    assert list(done.record.scores) == SCORES
    assert done.record.counts["prompts/wikitext/ppl"] == 2
    # A quick look is in no column of the table.
    whole = compare(load(HERE / "table1_language"), [done.record])
    assert not whole.paper.scores
    assert not whole.reduced
    assert len(whole.changed) == 1


@pytest.mark.slow
def test_what_is_missing_is_named_before_anything_is_computed(
    trained: Ended, tmp_path: Path
) -> None:
    done = run(
        tmp_path,
        "task=commonsense",
        f"evaluate_only={trained.folder}/run/last.ckpt",
        TITANS_DATA=str(tmp_path),
        TITANS_CACHE=str(tmp_path / "cache"),
    )
    assert done.code == 2
    assert "wiki.test.raw" in done.said
    assert "Traceback" not in done.said
    assert not list(tmp_path.glob("records/*.json"))


def test_lm_evals_own_command_line(trained: Ended, tmp_path: Path) -> None:
    stock = Path(lm_eval.tasks.__file__).parent / "piqa" / "piqa.yaml"
    task = tmp_path / "piqa_here.yaml"
    task.write_text(
        f"include: {stock}\ntask: piqa_here\ndataset_path: json\ntraining_split: null\n"
        f"dataset_kwargs: {{data_files: {{validation: {SAMPLES / 'piqa.jsonl'}}}}}\n"
    )
    done = command(
        tmp_path,
        *("-m", "titans.evals", "--model", "titans", "--tasks", str(task)),
        *("--model_args", f"checkpoint={trained.folder}/run/last.ckpt", "--batch_size", "8"),
    )
    assert done.code == 0, done.said
    row = next(line.split("|") for line in done.said.splitlines() if line.startswith("|piqa_here|"))
    assert row[5].strip() == "acc"
    assert 100 * float(row[7]) == trained.record.scores["piqa/acc"]
