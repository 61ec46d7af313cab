"""`python run.py task=babilong` from end to end, and how streaming and scoring fit together."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hydra
import pytest
import torch

from data.babilong import Babilong
from data.babilong_prompts import BabilongPrompts
from experiments.compare import compare
from experiments.record import FINISHED, Record
from experiments.table import HERE, load, selecting
from titans.evals import Babilong as Evaluation
from titans.evals import generate
from titans.evals.score import Score
from titans.tasks import NextToken

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def prose(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("prose") / "tides.jsonl"
    rows = (f'{{"text": "The tide of day {n} goes out. It comes in again."}}' for n in range(300))
    path.write_text("\n".join(rows) + "\n")
    return path


@pytest.fixture(autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TITANS_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "run.py", "task=babilong", "model=mac", "logger=none"]
    places = [f"hydra.run.dir={folder}/run", f"records={folder}/records"]
    small = ["hardware=cpu", "hardware.threads=1", "task.prompts=3", "task.lengths=[0,300]"]
    return subprocess.run(
        [*command, *places, *small, *arguments], cwd=ROOT, capture_output=True, text=True
    )


def test_a_run_of_seconds_leaves_scores_a_record_and_a_picture(prose: Path, tmp_path: Path) -> None:
    short = [
        "task.steps=4",
        "task.length=256",
        "task.curriculum=[[0,1],[128,1]]",
        "task.data.tokens_per_batch=256",
    ]
    done = run(tmp_path, *short, f"task.background={prose}")
    assert done.returncode == 0, done.stderr
    said = done.stdout + done.stderr
    assert "facts: simulated, a stand-in" in said
    assert "BABILong qa1: simulated_in_tides" in said
    (path,) = tmp_path.glob("records/*.json")
    record = Record.read(path)
    assert record.status == FINISHED
    assert set(record.scores) == {"simulated_in_tides/0", "simulated_in_tides/300"}
    assert record.counts["prompts/simulated_in_tides/300"] == 3
    assert record.settings["task.dataset"] == "qa1"
    assert record.settings["task.facts"] == "simulated"
    assert (tmp_path / "run" / "accuracy.png").read_bytes()[:4] == b"\x89PNG"
    again = run(
        tmp_path / "again",
        f"evaluate_only={tmp_path}/run/last.ckpt",
        f"task.background={prose}",
        "task.setup=few_shot",
        "task.lengths=[1024]",
    )
    assert again.returncode == 0, again.stderr
    (path,) = (tmp_path / "again").glob("records/*.json")
    assert Record.read(path).settings["task.setup"] == "few_shot"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("task.dataset=qa6", "qa6"),
        ("task.facts=none", "simulated"),
        ("task.setup=few_shot", "evaluate_only"),
    ],
)
def test_what_cannot_run_is_refused_in_a_line(tmp_path: Path, wrong: str, said: str) -> None:
    done = run(tmp_path, wrong)
    assert done.returncode == 2
    assert said in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


@pytest.fixture
def network(compose: Callable[..., Any]) -> torch.nn.Module:
    torch.manual_seed(0)
    config = compose("model=mac", "task=babilong")
    return hydra.utils.instantiate(config.task.network, _convert_="all").eval()


def test_reading_in_pieces_gives_the_answer_of_the_whole(
    prose: Path, network: torch.nn.Module
) -> None:
    prompts = BabilongPrompts(Babilong("qa1", background=str(prose)), lengths=[700], prompts=3)
    texts = [prompt.tokens for prompt in prompts.of(700)]
    ends = {"new_tokens": 5, "end": prompts.end}
    whole = generate(network, [text[:] for text in texts], piece=700, **ends)
    assert generate(network, texts, piece=64, **ends) == whole
    assert generate(network, texts, piece=129, **ends) == whole


class Asked:
    """Prompts whose questions are answered before they are asked."""

    end, chance, name, tokenizer = 0, 18.7, "qa1, simulated_in_tides", "{}"

    def __init__(self, prompts: BabilongPrompts) -> None:
        self.prompts = prompts

    def __iter__(self) -> Iterator[tuple[str, list[Any]]]:
        return iter(self.prompts)

    def decode(self, tokens: list[int]) -> str:
        return " kitchen."

    def score(self, output: str, prompt: Any) -> float:
        return self.prompts.score(output, prompt)


def test_the_score_is_the_share_of_right_answers(
    prose: Path, network: torch.nn.Module, tmp_path: Path
) -> None:
    source = Babilong("qa1", background=str(prose))
    prompts = BabilongPrompts(source, lengths=[0, 128], prompts=30)

    task = NextToken(network, torch.optim.AdamW, steps=1, warmup=1)  # type: ignore[arg-type]
    evaluation = Evaluation(Asked(prompts), new_tokens=1, picture=str(tmp_path / "accuracy.png"))
    scores: list[Score] = list(evaluation(task))
    kitchens = sum(story.answer == "kitchen" for story in source.facts.test[:30])
    assert [score.value for score in scores] == [pytest.approx(100 * kitchens / 30)] * 2
    assert scores[1].counts["prompts"] == 30
    assert (tmp_path / "accuracy.png").is_file()


def record(dataset: str, facts: str, background: str, name: str, score: float) -> Record:
    asked = {"task.dataset": dataset, "task.facts": facts, "task.background": background}
    return Record(
        choices={"model": "mac", "task": "babilong", "scale": "story"},
        settings=asked | {"task.setup": "fine_tuned"},
        overrides=["model=mac", "task=babilong", *(f"{k}={v}" for k, v in asked.items())],
        seed=0,
        scores={f"{name}/1024": score},
        counts={f"prompts/{name}/1024": 100},
        started=f"2026-01-01T00:00:0{dataset[2]}+00:00",
    )


def test_stand_ins_stand_apart_from_the_paper() -> None:
    table = load(HERE / "figure6_babilong")
    assert {"task.dataset", "task.facts", "task.background", "task.setup"} <= selecting()
    english = "brown+bible+wikipedia"
    tasks = [f"qa{n}" for n in range(1, 6)]
    own = [record(t, "simulated", "english", f"simulated_in_{english}", 90) for t in tasks]
    real = [record(t, "babi", "pg19", "babi_in_pg19", 80 + n) for n, t in enumerate(tasks)]
    found = compare(table, own + real)
    assert not found.paper.scores
    blocks = {block.protocol: block for block in found.reduced}
    assert {round(s.mean, 1) for s in blocks[""].scores.values()} == {82.0}
    (title,) = set(blocks) - {""}
    assert "imulated" in title
    assert {s.mean for s in blocks[title].scores.values()} == {90.0}
    # The mean of five tasks is no mean of four.
    assert not compare(table, real[1:]).reduced
