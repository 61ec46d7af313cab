"""What is measured is the step that is meant, at the batch and the precision that are stated."""

import math
from collections.abc import Callable
from typing import Any

import hydra
import pytest
import torch
from omegaconf import DictConfig
from torch import Tensor

from titans.evals import Score, Throughput
from titans.evals.workload import Workloads
from titans.tasks import NextToken

LENGTHS, TOKENS = [8, 24, 64], 48
SMALL = "task=throughput model=lmm scale.dim=16 scale.chunk_size=4 task.network.vocabulary=50"


@pytest.fixture
def task(compose: Callable[..., DictConfig]) -> NextToken:
    config = compose(*SMALL.split())
    make = hydra.utils.instantiate
    network = make(config.task.network, _convert_="all")
    return make(config.task.objective, network=network, optimizer=make(config.optimizer))


@pytest.fixture
def scores(task: NextToken) -> dict[str, Score]:
    throughput = Throughput(lengths=LENGTHS, tokens=TOKENS, new_tokens=3, piece=16)
    return {score.name: score for score in throughput(task)}


def test_every_mode_and_length_has_its_scores(scores: dict[str, Score]) -> None:
    modes = ("train", "forward", "decode")
    metrics = {"ktokens_per_s", "peak_mb"}
    assert scores.keys() == {
        f"{mode}/{length}/{metric}"
        for mode in modes
        for length in LENGTHS
        for metric in (metrics | {"ms_per_token"} if mode == "decode" else metrics)
    }
    assert all(math.isfinite(score.value) for score in scores.values())
    assert all(s.value > 0 for n, s in scores.items() if not n.endswith("peak_mb"))


def test_a_step_has_the_same_tokens_at_every_length(scores: dict[str, Score]) -> None:
    batches = {score.name.split("/")[1]: score.counts["batch"] for score in scores.values()}
    # A length beyond the tokens of a step is one sequence.
    assert batches == {"8": 6, "24": 2, "64": 1}


def test_speed_is_tokens_by_the_median_time(
    task: NextToken, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("titans.evals.throughput.timings", lambda *_, **__: [9.0, 2.0, 1.0])
    throughput = Throughput(lengths=[24], tokens=48, new_tokens=4, modes=["train", "decode"])
    values = {score.name: score.value for score in throughput(task)}
    assert values["train/24/ktokens_per_s"] == 48 / 2 / 1000
    assert values["decode/24/ktokens_per_s"] == 2 * 4 / 2 / 1000
    assert values["decode/24/ms_per_token"] == 500


def test_training_steps_and_the_others_do_not(task: NextToken) -> None:
    def weights() -> list[Tensor]:
        return [p.detach().clone() for p in task.network.parameters()]

    tokens = torch.randint(50, (2, 9))
    workloads = Workloads(task, dtype=None, new_tokens=2, piece=4)
    before = weights()
    for prepare in (workloads.forward, workloads.decode):
        prepare(tokens).call()
    assert all(map(torch.equal, before, weights()))
    workloads.train(tokens).call()
    assert not any(map(torch.equal, before, weights()))
    assert all(p.grad is None for p in task.network.parameters())


def test_decoding_reads_the_prompt_once_and_then_token_by_token(task: NextToken) -> None:
    read: list[int] = []
    embedding = task.network.embedding
    embedding.register_forward_hook(lambda _, inputs, __: read.append(inputs[0].shape[1]))
    work = Workloads(task, dtype=None, new_tokens=3, piece=4).decode(torch.randint(50, (1, 11)))
    assert read == [4, 4, 2]
    work.call()
    assert read == [4, 4, 2, 1, 1, 1]


@pytest.mark.parametrize("mode", ["train", "forward", "decode"])
@pytest.mark.parametrize(
    ("precision", "dtype"), [("32-true", torch.float32), ("bf16-mixed", torch.bfloat16)]
)
def test_computes_in_the_trainers_precision(
    task: NextToken, mode: str, precision: str, dtype: torch.dtype
) -> None:
    seen: set[torch.dtype] = set()
    mlp = task.network.backbone.blocks[0].mlp
    mlp.inner.register_forward_hook(lambda _, __, output: seen.add(output.dtype))
    list(Throughput(lengths=[8], tokens=8, modes=[mode], new_tokens=1, precision=precision)(task))
    assert seen == {dtype}


def test_a_length_without_memory_is_missing_and_the_others_go_on(task: NextToken) -> None:
    def refuse(_: Any, inputs: tuple[Tensor]) -> None:
        if inputs[0].shape[1] == 24:
            raise torch.OutOfMemoryError

    task.network.embedding.register_forward_pre_hook(refuse)
    scores = {s.name: s for s in Throughput(lengths=LENGTHS, tokens=48, modes=["train"])(task)}
    missing = {name for name, score in scores.items() if math.isnan(score.value)}
    assert missing == {"train/24/ktokens_per_s", "train/24/peak_mb"}
    assert {n for n, s in scores.items() if s.counts.get("out_of_memory")} == missing


def test_an_error_of_the_network_is_none_of_the_memory(task: NextToken) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("shapes do not fit")

    task.network.embedding.register_forward_pre_hook(fail)
    with pytest.raises(RuntimeError, match="shapes"):
        list(Throughput(lengths=[8])(task))


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"modes": ["fly"]}, "task.modes: fly is none of train, forward, decode"),
        ({"precision": "64-true"}, "hardware.trainer.precision"),
        ({"repeats": 4}, "task.repeats"),
        ({"lengths": [0]}, "lengths"),
        ({"lengths": []}, "nothing to measure"),
        ({"modes": []}, "nothing to measure"),
    ],
    ids=str,
)
def test_what_cannot_be_measured_is_refused(settings: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        Throughput(**({"lengths": [8]} | settings))
