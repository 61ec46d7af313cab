"""Our adapter gives lm-eval what its own does on a Llama with the same weights."""

from collections.abc import Callable
from typing import Any

import hydra
import pytest
import torch
from lm_eval.api.instance import Instance
from lm_eval.evaluator import evaluate

from data.commonsense import BENCHMARKS, SAMPLES
from data.tokenizer import FOLDER, load_tokenizer
from tests.models.test_transformer_oracle import oracle
from titans.evals.commonsense import MEASURED, harness_tasks
from titans.evals.harness import Harness

# What lm-eval's adapter of transformers imports, and lm-eval does not ask for.
pytest.importorskip("accelerate")
from lm_eval.models.huggingface import HFLM

TOKENIZER = (FOLDER / "tokenizer.json").read_text()
LENGTH = 48
PAIRS = [
    ("The harbour clock", " rings at noon"),
    # The space belongs to the continuation, whoever wrote it.
    ("The harbour clock ", "rings at noon"),
    ("The harbour clock ", " rings at noon"),
    ("The harbour clock\n\n", "It rings"),
    ("", "It rings at noon"),
    ("The harbour clock", " rang"),
    ("The harbour", "clock"),
    ("One", " 1"),
    ("Carts went up the road, and came down with timber. " * 9, "Then winter came"),
]
TEXTS = ["A short one.", "", "The salt road leads from the pans to the market. " * 12, "Reed"]


@pytest.fixture(scope="module")
def models(compose: Callable[..., Any]) -> tuple[Callable[..., Harness], Callable[..., HFLM]]:
    """Ours and theirs, of one network, given a length."""
    tokenizer = load_tokenizer()
    config = compose("model=transformer", "scale.dim=32", "scale.layers=2", "scale.heads=4")
    torch.manual_seed(0)
    network = hydra.utils.instantiate(config.task.network, _convert_="all").eval()
    for parameter in network.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    llama = oracle(network)

    def ours(max_length: int | None = LENGTH, batch: int = 4) -> Harness:
        end = tokenizer.eos_token_id
        return Harness(network, TOKENIZER, end, max_length=max_length, batch_size=batch)

    def theirs(max_length: int = LENGTH) -> HFLM:
        return HFLM(llama, tokenizer=tokenizer, max_length=max_length, batch_size=4, device="cpu")

    return ours, theirs


def requests(kind: str, arguments: list[Any]) -> list[Instance]:
    return [Instance(kind, {}, it, index) for index, it in enumerate(arguments)]


@pytest.mark.parametrize("length", [LENGTH, 8])
def test_the_same_likelihoods(models: Any, length: int) -> None:
    ours, theirs = (make(length) for make in models)
    asked = requests("loglikelihood", PAIRS)
    found, expected = ours.loglikelihood(asked), theirs.loglikelihood(asked)
    for one, other in zip(found, expected, strict=True):
        assert one[0] == pytest.approx(other[0], abs=1e-3)
        assert one[1] == other[1]


@pytest.mark.parametrize("length", [LENGTH, 16])
def test_the_same_rolling_likelihoods(models: Any, length: int) -> None:
    ours, theirs = (make(length) for make in models)
    asked = requests("loglikelihood_rolling", [(text,) for text in TEXTS])
    found, expected = (model.loglikelihood_rolling(asked) for model in (ours, theirs))
    assert found == pytest.approx(expected, abs=2e-3)


def test_without_a_length_a_text_is_one_window(models: Any) -> None:
    ours, theirs = models
    asked = requests("loglikelihood_rolling", [(text,) for text in TEXTS])
    expected = theirs(1000).loglikelihood_rolling(asked)
    assert ours(None).loglikelihood_rolling(asked) == pytest.approx(expected, abs=2e-3)
    assert ours(LENGTH).loglikelihood_rolling(asked)[2] != pytest.approx(expected[2], abs=0.1)


@pytest.mark.parametrize("until", [["\n"], ["e", " a"], []])
def test_the_same_continuations(models: Any, until: list[str]) -> None:
    ours, theirs = (make(LENGTH) for make in models)
    texts = [*(context for context, _ in PAIRS if context), TEXTS[2]]
    settings = {"until": until, "max_gen_toks": 12, "do_sample": False}
    asked = requests("generate_until", [(text, settings) for text in texts])
    assert ours.generate_until(asked) == theirs.generate_until(asked)


def test_sampling_is_refused(models: Any) -> None:
    asked = requests("generate_until", [("A", {"do_sample": True, "temperature": 1.0})])
    with pytest.raises(ValueError, match="greedy"):
        models[0]().generate_until(asked)


@pytest.mark.parametrize("name", BENCHMARKS)
def test_the_same_scores(models: Any, name: str) -> None:
    it = MEASURED[name]

    def scored(model: Any) -> dict[str, Any]:
        loaded = harness_tasks(it, SAMPLES / f"{name}.jsonl")
        found = evaluate(model, loaded, bootstrap_iters=0, log_samples=False)
        return found["results"][it.task]

    ours, theirs = (scored(make(200)) for make in models)
    for metric in it.metrics.values():
        assert ours[f"{metric},none"] == pytest.approx(theirs[f"{metric},none"], rel=1e-4)


def test_lm_evals_own_models_are_still_known() -> None:
    from lm_eval.api.registry import get_model

    assert get_model("titans") is Harness
    assert get_model("hf") is HFLM
