"""Training batches: RULER's form, exact lengths, other keys, and a pure function of the step."""

import json
import random
import re
from pathlib import Path
from unittest.mock import Mock

import pytest
import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor

from data import words
from data.needle import NeedleData
from data.needle_batches import Batch
from data.prompt import IGNORED
from data.tokenizer import load_tokenizer

TOKENIZER = load_tokenizer()
ALL = dict.fromkeys(words.KINDS, 1.0)


def decode(tokens: list[int]) -> str:
    return str(TOKENIZER.decode(tokens))


@pytest.fixture
def prose(tmp_path: Path) -> str:
    rng = random.Random(0)
    nouns = words.nouns()
    lines = [f"The {' '.join(rng.choices(nouns, k=rng.randint(2, 9)))}." for _ in range(600)]
    path = tmp_path / "prose.txt"
    path.write_text(" ".join(lines), encoding="utf-8")
    return str(path)


def rows(batch: Batch) -> list[tuple[list[int], list[int]]]:
    return list(zip(batch["tokens"].tolist(), batch["targets"].tolist(), strict=True))


@pytest.mark.parametrize("length", [128, 333, 2048])
@pytest.mark.parametrize("many", [1, 4])
def test_length_is_exact_and_tokens_are_those_of_the_text(
    prose: str, length: int, many: int
) -> None:
    data = NeedleData(length=length, needles=ALL, needles_per_prompt=many, prose=prose)
    for step in range(3):
        batch = data.batches()[step]
        shape = (16_384 // length, length)
        assert batch["tokens"].shape == batch["targets"].shape == shape
        for tokens, _ in rows(batch):
            assert TOKENIZER.encode(decode(tokens)) == tokens


def test_every_hidden_value_is_asked_for(prose: str) -> None:
    batch = NeedleData(length=1024, needles=ALL, needles_per_prompt=4, prose=prose).batches()[0]
    for tokens, targets in rows(batch):
        text = decode(tokens)
        hidden = dict(re.findall(r"One of the special magic \w+ for (\S+) is: (\S+)\.", text))
        asked = re.findall(r"What is the special magic \w+ for (\S+) mentioned", text)
        answers = decode([target for target in targets if target != IGNORED])
        assert answers == "".join(f" {hidden[key]}." for key in asked) + "<|endoftext|>"
        assert sorted(hidden) == sorted(asked)


def test_targets_are_next_tokens(prose: str) -> None:
    batch = NeedleData(length=512, needles=ALL, prose=prose).batches()[0]
    for tokens, targets in rows(batch):
        for target, following in zip(targets, tokens[1:], strict=False):
            assert target in (IGNORED, following)
        assert targets[-1] == TOKENIZER.eos_token_id


def test_text_is_rulers() -> None:
    data = NeedleData(length=512, needles={"niah_single_1": 1})
    text = decode(data.batches()[0]["tokens"][0].tolist())
    opening, *lines, question = text.split("\n")
    key = re.findall(r"for (\S+) mentioned", question)[0]
    assert opening == words.opening("number")
    assert question.startswith(words.question("number", key))
    assert sum(line.startswith("One of the special magic numbers for") for line in lines) == 1


def test_needles_are_hidden_everywhere() -> None:
    batches = NeedleData(length=2048, needles={"niah_single_1": 1}).batches()
    depths = []
    for step in range(25):
        for tokens, _ in rows(batches[step]):
            text = decode(tokens)
            depths.append(text.index("One of the special") / len(text))
    tenths = torch.histc(torch.tensor(depths), 10, 0, 1)
    assert tenths.min() > 5


def test_keys_are_never_rulers() -> None:
    first, second = words.key_parts()
    assert not set(first) & set(words.adjectives())
    assert not any("-" in noun or " " in noun for noun in first + second)
    assert len(first) * len(second) > 10**7


def test_batch_is_a_function_of_seed_step_and_rank(prose: str) -> None:
    def batch(seed: int, step: int, rank: int) -> Tensor:
        batches = NeedleData(length=256, needles=ALL, prose=prose, seed=seed).batches()
        batches.rank, batches.ranks = rank, 2
        return batches[step]["tokens"]

    random.seed(1)
    before = random.getstate()
    base = batch(0, 3, 0)
    assert torch.equal(base, batch(0, 3, 0))
    assert random.getstate() == before
    for other in ((1, 3, 0), (0, 4, 0), (0, 3, 1)):
        assert not torch.equal(base, batch(*other))


def test_curriculum_sets_length_and_batch() -> None:
    data = NeedleData(
        length=512, curriculum={128: 0, 256: 2, 2048: 4}, tokens_per_batch=1024, steps=6
    )
    shapes = [tuple(batch["tokens"].shape) for batch in data.train_dataloader()]
    assert shapes == [(8, 128)] * 2 + [(4, 256)] * 2 + [(2, 512)] * 2


def test_prompts_of_a_batch_end_anywhere() -> None:
    batches = NeedleData(length=512, tokens_per_batch=8192, vary=0.25).batches()
    ends = []
    for tokens, targets in rows(batches[0]):
        end = max(i for i, target in enumerate(targets) if target != IGNORED)
        assert targets[end] == TOKENIZER.eos_token_id
        assert set(tokens[end + 1 :]) <= {TOKENIZER.eos_token_id}
        ends.append(end)
    assert 384 <= min(ends) + 1 < max(ends) + 1 <= 512
    assert len(set(ends)) > 10


def test_a_batch_has_the_least_number_of_prompts() -> None:
    batches = NeedleData(length=1024, tokens_per_batch=1024, least_prompts=3).batches()
    assert batches[0]["tokens"].shape == (3, 1024)


def test_a_type_joins_at_its_length(prose: str) -> None:
    weights = {"niah_single_1": 1e-9, "niah_single_2": 1.0}
    curriculum = {256: 0, 512: 1}
    data = NeedleData(
        needles=weights, needles_from={"niah_single_2": 512}, curriculum=curriculum, prose=prose
    )
    noise = [
        "The grass is green." in decode(data.batches()[i]["tokens"][0].tolist()) for i in (0, 1)
    ]
    assert noise == [True, False]


def test_a_type_too_long_waits(prose: str) -> None:
    data = NeedleData(length=128, needles=ALL, prose=prose)
    for tokens, _ in rows(data.batches()[0]):
        assert "uuid" not in decode(tokens)
    with pytest.raises(ValueError, match="No needle fits 64 tokens"):
        NeedleData(length=64).batches()[0]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"needles": {"niah_single_9": 1}}, "niah_single_1, niah_single_2"),
        ({"needles": {"niah_single_1": 0}}, "above zero"),
        ({"curriculum": {128: 5}}, "step 0"),
    ],
)
def test_wrong_settings_say_what_is_right(wrong: dict[str, dict[str, float]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        NeedleData(**wrong)  # type: ignore[arg-type]


@pytest.mark.fault("resuming with other prose than before", "refused, with what to set")
def test_a_resumed_run_has_the_prose_that_it_had(
    prose: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = Path(prose).read_text(encoding="utf-8")
    for folder, kept in {"one": text, "same": text, "other": text[:-999]}.items():
        path = tmp_path / folder / "pg_essays" / "PaulGrahamEssays.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps({"text": kept}), encoding="utf-8")

    def data(folder: str) -> NeedleData:
        monkeypatch.setenv("TITANS_DATA", str(tmp_path / folder))
        found = NeedleData(length=128, needles={"niah_single_2": 1.0})
        found.setup()
        found.trainer = Mock(Trainer)
        return found

    state, other = data("one").state_dict(), data("other")
    data("same").load_state_dict(state)
    with pytest.raises(ValueError, match=r"other prose .*: set TITANS_DATA .* or unset"):
        other.load_state_dict(state)
    # A checkpoint from before there was such an entry.
    other.load_state_dict({})


def test_without_prose_a_checkpoint_knows_none() -> None:
    assert NeedleData(length=128).state_dict() == {}


class Recorder(LightningModule):
    """Remembers what it was fed."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen: list[int] = []

    def training_step(self, batch: Batch, _: int) -> Tensor:
        self.seen.append(int(batch["tokens"].sum()))
        return self.weight * 0.0

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


def fit(folder: Path, resume: str | None = None) -> list[int]:
    trainer = Trainer(
        accelerator="cpu",
        max_steps=7,
        max_epochs=1,
        accumulate_grad_batches=2,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        callbacks=[ModelCheckpoint(folder, filename="{step}", every_n_train_steps=5)],
    )
    task = Recorder()
    trainer.fit(task, NeedleData(length=128, tokens_per_batch=256, steps=7), ckpt_path=resume)
    return task.seen


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_resumed_run_is_the_same_run(tmp_path: Path) -> None:
    whole = fit(tmp_path)
    assert len(set(whole)) == len(whole) == 14
    assert fit(tmp_path, str(tmp_path / "step=5.ckpt")) == whole[10:]
