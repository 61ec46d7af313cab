"""Facts in a long text: nothing lost, in order, of exact length; training and test apart."""

import random
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch

from data.babilong import Babilong
from data.babilong_prompts import BabilongPrompts
from data.babilong_training import BabilongBatches, BabilongData
from data.background import Background
from data.composition import Composed, compose
from data.packing import Stream
from data.prompt import IGNORED

TEN_MILLION = 10 * 2**20


@pytest.fixture(scope="module")
def prose(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Documents of sentences that no other has; each says where it stands."""
    folder = tmp_path_factory.mktemp("prose")
    lines = [
        " ".join(f"It was day {number} of tide {tide}, and rain fell." for number in range(9))
        for tide in range(200)
    ]
    rows = [f'{{"text": "{line}"}}' for line in lines]
    (folder / "tides.jsonl").write_text("\n".join(rows) + "\n")
    return folder / "tides.jsonl"


@pytest.fixture(autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TITANS_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


def source(prose: Path, dataset: str = "qa1", setup: str = "fine_tuned") -> Babilong:
    return Babilong(dataset, background=str(prose), setup=setup)


def decode(source: Babilong, tokens: object) -> str:
    return str(source.subwords.tokenizer.decode(list(tokens)))  # type: ignore[call-overload]


def batches(prose: Path, dataset: str = "qa1", **settings: object) -> BabilongBatches:
    chosen = {"length": 512, "curriculum": [[0, 5]], "tokens_per_batch": 2048} | settings
    return BabilongData(source(prose, dataset), **chosen).batches()  # type: ignore[arg-type]


@pytest.mark.parametrize("dataset", ["qa1", "qa2", "qa5"])
@pytest.mark.parametrize("length", [512, 1031])
def test_facts_stand_in_their_order_and_the_question_last(
    prose: Path, dataset: str, length: int
) -> None:
    asked = source(prose, dataset)
    for tokens, story in BabilongPrompts(asked, lengths=[length], prompts=20).of(length):
        assert len(tokens) == length
        text = decode(asked, tokens[:])
        place = 0
        for fact in story.facts:
            place = text.index(fact, place) + len(fact)
        assert text.endswith(f" {story.question} Answer:")
        # Nothing but sentences of the background is between the facts.
        rest = text.removesuffix(f" {story.question} Answer:")
        for fact in story.facts:
            rest = rest.replace(f" {fact}", "", 1)
        assert rest.count("It was day") == pytest.approx(rest.count("rain fell."), abs=1)
        assert not set("".join(story.facts).split()) & {"tide"}


def test_facts_alone(prose: Path) -> None:
    asked = source(prose)
    for tokens, story in BabilongPrompts(asked, lengths=[0], prompts=5).of(0):
        assert decode(asked, tokens[:]) == f" {' '.join(story.facts)} {story.question} Answer:"


def test_facts_may_stand_before_every_sentence_and_at_the_end(prose: Path) -> None:
    asked = source(prose)
    background = asked.background("train")
    rng = random.Random(0)
    seen = set()
    for _ in range(300):
        start = background.opening(rng)
        background.begins = np.array([start])
        pieces = compose([[7]], background, 61, random.Random(rng.random()))
        seen.add((len(pieces[0]), len(pieces[2])))
        background = asked.background("train")
    assert seen == {(0, 60), (60, 0)}, "one sentence has a place before it and one behind"


def test_sentences_begin_where_they_do(prose: Path) -> None:
    asked = source(prose)
    background = asked.background("validation")
    for start in background.begins[:200]:
        assert decode(asked, background.read(start, start + 3)).strip() == "It was day"
    whole = decode(asked, background.read(0, len(background.stream)))
    assert whole.count("It was day") == len(background.begins)
    assert "endoftext" not in whole


def test_the_text_goes_round(prose: Path) -> None:
    background = source(prose).background("validation")
    period = len(background.stream)
    once = background.read(0, period)
    assert (background.read(period - 5, 2 * period + 5) == np.r_[once[-5:], once, once[:5]]).all()
    for rank in (0, 3, len(background.begins) + 3):
        assert background.rank(background.begin(rank)) == rank
        assert background.rank(background.begin(rank) + 1) == rank + 1


def test_pieces_are_the_whole(prose: Path) -> None:
    ((tokens, _),) = BabilongPrompts(source(prose), lengths=[3000], prompts=1).of(3000)
    whole = tokens[:]
    assert [tokens[i] for i in range(len(tokens))] == whole
    for size in (1, 7, 1024):
        assert [t for i in range(0, 3000, size) for t in tokens[i : i + size]] == whole
    assert tokens[-2:] == whole[-2:]


def test_ten_million_tokens_take_no_memory(prose: Path) -> None:
    prompts = BabilongPrompts(source(prose), lengths=[TEN_MILLION], prompts=3)
    prompts.of(TEN_MILLION)
    tracemalloc.start()
    for tokens, story in prompts.of(TEN_MILLION):
        assert len(tokens) == TEN_MILLION
        assert len(tokens[5_000_000:5_001_024]) == 1024
        assert story.question in decode(prompts.source, tokens[-20:])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1e6


def test_training_and_evaluation_share_no_document(prose: Path) -> None:
    asked = source(prose)
    parts = [asked.background(part) for part in ("train", "validation")]
    texts = [decode(asked, part.read(0, len(part.stream))) for part in parts]
    tides = [{word.split(",")[0] for word in text.split(" of tide ")[1:]} for text in texts]
    assert tides[0]
    assert tides[1]
    assert not tides[0] & tides[1]


def test_the_answer_alone_is_a_target(prose: Path) -> None:
    data = batches(prose)
    asked, by_text = source(prose), {}
    for story in asked.facts.train:
        by_text[" ".join((*story.facts, story.question))] = story.answer
    for step in (0, 7, 8):
        batch = data[step]
        for tokens, targets in zip(batch["tokens"], batch["targets"], strict=True):
            places = (targets != IGNORED).nonzero().flatten()
            answer, end = targets[places].tolist()
            assert end == asked.subwords.end
            assert tokens[places[1]] == answer
            assert decode(asked, tokens[: places[0] + 1]).endswith("Answer:")
            if step == 0:
                text = decode(asked, tokens[: places[0] + 1]).removesuffix(" Answer:").strip()
                assert by_text[text] == decode(asked, [answer]).strip()


def test_lengths_follow_the_curriculum_by_segments(prose: Path) -> None:
    data = batches(prose)
    assert all(data[step]["tokens"].shape[1] < 100 for step in range(5))
    widths = {-(-data[step]["tokens"].shape[1] // 128) for step in range(5, 60)}
    assert widths == {1, 2, 3, 4}
    for step in (3, 30):
        assert data[step]["tokens"].numel() <= max(2048, 4 * data[step]["tokens"].shape[1])


def test_a_batch_is_a_function_of_seed_and_step(prose: Path) -> None:
    first, again, other = batches(prose), batches(prose), batches(prose, seed=1)
    assert torch.equal(first[9]["tokens"], again[9]["tokens"])
    assert not torch.equal(first[9]["tokens"], other[9]["tokens"])


def test_few_shot_is_told_as_published(prose: Path) -> None:
    asked = source(prose, setup="few_shot")
    ((tokens, story),) = BabilongPrompts(asked, lengths=[1024], prompts=1).of(1024)
    assert len(tokens) == 1024
    assert tokens[0] == asked.subwords.end
    text = decode(asked, tokens[:])
    assert text.count("<example>") == 2
    assert text.endswith(f"\n</context>\nQuestion: {story.question}")
    instruction, rest = text.split("\n<context>\n")
    assert instruction.rstrip().endswith("Do not write anything else after that.")
    assert all(fact in rest for fact in story.facts)
    assert "{" not in text


def test_few_shot_wants_a_trained_model(prose: Path) -> None:
    with pytest.raises(ValueError, match="evaluate_only"):
        BabilongData(source(prose, setup="few_shot"), segment=64)


def test_a_question_that_does_not_fit_is_not_asked(
    prose: Path, caplog: pytest.LogCaptureFixture
) -> None:
    prompts = BabilongPrompts(source(prose, "qa2"), lengths=[64], prompts=1000)
    found = prompts.of(64)
    assert 0 < len(found) < 1000
    assert all(len(tokens) == 64 for tokens, _ in found)
    assert "only" in caplog.text
    with pytest.raises(ValueError, match="no room"):
        prompts.of(8)


@pytest.mark.parametrize("settings", [{"lengths": []}, {"lengths": [-1]}, {"prompts": 0}])
def test_nothing_to_ask_is_refused(prose: Path, settings: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="nothing to ask"):
        BabilongPrompts(source(prose), **({"lengths": [0]} | settings))  # type: ignore[arg-type]


@pytest.mark.parametrize("curriculum", [[[1024, 5]], [[0]], [[0, -1]]])
def test_a_curriculum_that_is_none_is_refused(prose: Path, curriculum: list[list[int]]) -> None:
    with pytest.raises(ValueError, match=r"task\.curriculum"):
        batches(prose, curriculum=curriculum)


@pytest.mark.parametrize("wrong", [{"dataset": "qa6"}, {"dataset": "qa1", "setup": "zero_shot"}])
def test_unknown_tasks_are_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"task\.dataset"):
        Babilong(**wrong)


def test_a_background_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"set task\.background"):
        Babilong("qa1", background=str(tmp_path / "nowhere")).background("train")


def test_a_text_without_sentences_is_refused(prose: Path) -> None:
    subwords = source(prose).subwords
    with pytest.raises(ValueError, match="no sentence begins"):
        Background(Stream([np.full(50, 300, np.uint16)]), subwords)


def test_pieces_without_any(prose: Path) -> None:
    assert Composed([[], [1, 2]])[:] == [1, 2]
    with pytest.raises(IndexError):
        Composed([[1]])[1]
    with pytest.raises(ValueError, match="do not fit"):
        compose([[1, 2]], None, 1, random.Random(0))
