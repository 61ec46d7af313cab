"""Evaluation prompts are lm-eval's; the cache keeps them unchanged."""

import random
import re
from pathlib import Path
from typing import Any

import pytest

from data import generator, ruler, words
from data.generator import Sentences, TokenCount, generate, import_generator
from data.ruler import Prompt, evaluation_prompts, score
from data.tokenizer import FOLDER, load_tokenizer

TOKENIZER = load_tokenizer()
PROMPTS = [
    Prompt([1, 2, 3], ["1234567"], "niah_single_1", 128, 0.5),
    Prompt([4], ["7654321"], "niah_single_1", 128, 0.25),
]


def decode(tokens: list[int]) -> str:
    return str(TOKENIZER.decode(tokens))


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TITANS_CACHE", str(tmp_path))
    return tmp_path


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """Replace the slow generator; return the calls it gets."""
    calls: list[tuple[Any, ...]] = []

    def generate(*arguments: Any) -> list[dict[str, Any]]:
        calls.append(arguments)
        sample = {"input": "is: 1234567. What?", "gen_prefix": "It is", "outputs": ["1234567"]}
        return [sample, sample]

    monkeypatch.setattr(ruler, "generate", generate)
    return calls


def test_packed_prompts_come_back(tmp_path: Path) -> None:
    (tmp_path / "p.npz").write_bytes(ruler.pack(PROMPTS))
    assert ruler.unpack(tmp_path / "p.npz") == PROMPTS


def test_prompts_are_made_once(counted: list[tuple[Any, ...]]) -> None:
    first = evaluation_prompts("niah_single_1", 128, 2, TOKENIZER, "unused")
    assert first == evaluation_prompts("niah_single_1", 128, 2, TOKENIZER)
    assert len(counted) == 1
    assert decode(first[0].tokens) == "is: 1234567. What? It is"


@pytest.mark.parametrize("keep", [0, 40, -20])
def test_damaged_cache_is_made_again(
    counted: list[tuple[Any, ...]], tmp_path: Path, keep: int
) -> None:
    first = evaluation_prompts("niah_single_1", 128, 2, TOKENIZER)
    (path,) = tmp_path.rglob("*.npz")
    path.write_bytes(path.read_bytes()[:keep])
    for _ in range(2):
        assert evaluation_prompts("niah_single_1", 128, 2, TOKENIZER) == first
    assert len(counted) == 2


def test_cache_depends_on_every_choice(counted: list[tuple[Any, ...]]) -> None:
    evaluation_prompts("niah_single_2", 128, 2, TOKENIZER, "prose")
    evaluation_prompts("niah_single_3", 128, 2, TOKENIZER, "prose")
    evaluation_prompts("niah_single_2", 256, 2, TOKENIZER, "prose")
    evaluation_prompts("niah_single_2", 128, 3, TOKENIZER, "prose")
    evaluation_prompts("niah_single_2", 128, 2, TOKENIZER, "other")
    evaluation_prompts("niah_single_2", 128, 2, TOKENIZER, "prose", seed=1)
    assert len(counted) == 6


def test_unknown_needle_is_named() -> None:
    with pytest.raises(ValueError, match="niah_single_1, niah_single_2"):
        evaluation_prompts("niah_multikey_1", 128, 1, TOKENIZER)


def test_score_is_rulers() -> None:
    assert score(" 1234567. And more", ["1234567"]) == 1.0
    assert score(" 1234568.", ["1234567"]) == 0.0
    assert score("ABC", ["abc", "x"]) == 0.5


def test_sentences_of_a_beginning() -> None:
    text = "It was late. Mr. Gray slept! Did he? He did."
    split = Sentences(text, text)
    for stop in range(1, len(text) + 1):
        beginning = text[:stop].strip()
        assert " ".join(split(beginning)).strip() == beginning
    assert len(split(text)) >= 3


def test_count_is_exact_near_the_limit() -> None:
    sentence = "The grass is green. "
    count = TokenCount(TOKENIZER, 50_000, near=500)
    for copies in range(500, 11_000, 500):
        exact = len(TOKENIZER(sentence * copies).input_ids)
        counted = len(count(sentence * copies).input_ids)
        assert counted == pytest.approx(exact, rel=0.01)
        assert exact < 0.99 * 50_000 or counted == exact


@pytest.mark.slow
def test_what_is_not_written_changes_no_prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    quick = generate("niah_single_1", 60_000, 2, TOKENIZER, "", 0)
    monkeypatch.setattr(generator, "EXACT_BELOW", 60_000)
    assert generate("niah_single_1", 60_000, 2, TOKENIZER, "", 0) == quick


@pytest.mark.slow
@pytest.mark.parametrize("needle", words.KINDS)
def test_generated_prompts(needle: str, capfd: pytest.CaptureFixture[str]) -> None:
    import_generator()
    prose = " ".join(f"Sentence {index} says nothing of it." for index in range(90))
    random.seed(5)
    before = random.getstate()
    prompts = evaluation_prompts(needle, 4096, 6, TOKENIZER, prose)
    assert random.getstate() == before
    assert capfd.readouterr() == ("", "")
    for prompt in prompts:
        text = decode(prompt.tokens)
        key = re.findall(r"for (\S+(?: \S+)?) mentioned in the provided text is$", text)[0]
        assert text.startswith(words.opening(words.KINDS[needle]))
        assert text.endswith(words.question(words.KINDS[needle], key))
        assert words.needle(words.KINDS[needle], key, prompt.answers[0]) in text
        assert 3000 < len(prompt.tokens) < 4096
        assert 0 < prompt.depth < 1


@pytest.mark.slow
def test_prose_needles_need_prose() -> None:
    with pytest.raises(ValueError, match=r"task\.prose=FILE"):
        evaluation_prompts("niah_single_2", 2048, 1, TOKENIZER)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_prompts_are_those_lm_eval_sends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    import_generator()
    from lm_eval import simple_evaluate
    from lm_eval.api.model import LM
    from lm_eval.tasks import TaskManager

    sent: list[str] = []

    class Recorder(LM):  # type: ignore[misc]
        def loglikelihood(self, requests: Any) -> Any:
            raise NotImplementedError

        loglikelihood_rolling = loglikelihood

        def generate_until(self, requests: Any) -> list[str]:
            sent.extend(request.args[0] for request in requests)
            return [""] * len(requests)

    metadata = {"tokenizer": str(FOLDER), "max_seq_lengths": [4096]}
    simple_evaluate(
        Recorder(),
        tasks=["niah_single_1"],
        task_manager=TaskManager(metadata=metadata),
        metadata=metadata,
        limit=8,
        bootstrap_iters=0,
        random_seed=3,
    )
    prompts = evaluation_prompts("niah_single_1", 4096, 8, TOKENIZER, seed=3)
    assert [decode(prompt.tokens) for prompt in prompts] == sent
