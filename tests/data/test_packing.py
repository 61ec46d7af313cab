"""Packed batches: which tokens a step has depends on the seed and on nothing else."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from data.language import LanguageData
from data.packing import FirstPass, PackedBatches, Stream
from data.stages import Stages

LENGTH, SEQUENCES = 8, 12
TOKENS = np.arange(1000, dtype=np.uint16)
STREAM = Stream([TOKENS[:300], TOKENS[300:301], TOKENS[301:]])
COUNT = 999 // LENGTH


# Of a quarter of the length for five steps, then of half for three.
CURRICULUM = ((2, 5), (4, 3))


def batches(**settings: Any) -> PackedBatches:
    return PackedBatches(STREAM, LENGTH, **{"sequences": SEQUENCES, "seed": 3} | settings)


def language(**settings: Any) -> LanguageData:
    return LanguageData(
        None, **{"length": 8, "step_tokens": 512, "batch": 8, "steps": 1} | settings
    )


def firsts(step: int, *, ranks: int = 1, accumulate: int = 1, **settings: Any) -> list[int]:
    """The first tokens of all sequences of a step, in no order."""
    found: list[int] = []
    for rank in range(ranks):
        it = batches(rank=rank, ranks=ranks, accumulate=accumulate, **settings)
        for part in range(accumulate):
            found += it[step * accumulate + part]["tokens"][:, 0].tolist()
    return sorted(found)


@pytest.mark.parametrize(("start", "stop"), [(0, 1), (0, 1000), (299, 302), (300, 301), (500, 509)])
def test_a_stream_reads_across_its_pieces(start: int, stop: int) -> None:
    assert STREAM.read(start, stop).tolist() == list(range(start, stop))


def test_targets_are_the_tokens_that_follow() -> None:
    batch = batches()[0]
    assert batch["tokens"].shape == batch["targets"].shape == (SEQUENCES, LENGTH)
    assert torch.equal(batch["targets"], batch["tokens"] + 1)
    assert (batch["tokens"][:, 0] % LENGTH == 0).all()


def test_an_epoch_has_every_sequence_once() -> None:
    steps = -(-COUNT // SEQUENCES)
    seen = [first for step in range(steps) for first in batches()[step]["tokens"][:, 0].tolist()]
    assert sorted(seen[:COUNT]) == list(range(0, COUNT * LENGTH, LENGTH))
    assert seen[:COUNT] != sorted(seen[:COUNT])
    # The next epoch begins within the same step, in another order.
    rest = [first for step in range(steps, 2 * steps) for first in batches()[step]["tokens"][:, 0]]
    second = [*seen[COUNT:], *map(int, rest)][:COUNT]
    assert sorted(second) == sorted(seen[:COUNT])
    assert second != seen[:COUNT]


@pytest.mark.parametrize(("ranks", "accumulate"), [(2, 1), (1, 3), (2, 3), (4, 1), (12, 1)])
@pytest.mark.parametrize("step", [0, 7, 9, 10, 57])
@pytest.mark.parametrize("curriculum", [(), CURRICULUM])
def test_a_step_is_the_same_on_any_hardware(
    step: int, ranks: int, accumulate: int, curriculum: Stages
) -> None:
    found = firsts(step, ranks=ranks, accumulate=accumulate, curriculum=curriculum)
    assert found == firsts(step, curriculum=curriculum)


@pytest.mark.parametrize(("step", "length"), [(0, 2), (4, 2), (5, 4), (7, 4), (8, 8), (90, 8)])
def test_a_stage_has_shorter_sequences_and_as_many_tokens(step: int, length: int) -> None:
    batch = batches(curriculum=CURRICULUM)[step]
    assert batch["tokens"].shape == (SEQUENCES * LENGTH // length, length)
    assert torch.equal(batch["targets"], batch["tokens"] + 1)
    # Behind the last stage nothing is otherwise than without a curriculum.
    if length == LENGTH:
        assert torch.equal(batch["tokens"], batches()[step]["tokens"])


def test_a_stage_sees_each_of_its_sequences_once_an_epoch() -> None:
    staged = batches(curriculum=((2, 100),))
    per_epoch = 999 // 2
    seen = [first for step in range(11) for first in staged[step]["tokens"][:, 0].tolist()]
    assert sorted(seen[:per_epoch]) == list(range(0, 2 * per_epoch, 2))


@pytest.mark.parametrize(
    ("curriculum", "message"),
    [
        ([[3, 10]], r"length of 3.*divide task\.length, 8"),
        ([[16, 10]], r"lengths from 1 to task\.length=8"),
        ([[0, 10]], r"lengths from 1 to task\.length=8"),
        ([[4, -1]], r"\[length, steps\]"),
        ([[4]], r"\[length, steps\]"),
        ([4, 10], r"\[length, steps\]"),
        ([["four", 10]], r"\[length, steps\]"),
        (None, r"\[length, steps\]"),
    ],
)
def test_a_curriculum_that_is_none_is_refused(curriculum: Stages, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        language(curriculum=curriculum)


def test_segments_and_stages_are_refused() -> None:
    with pytest.raises(ValueError, match=r"task\.curriculum=\[\]"):
        language(curriculum=[[4, 10]], tbptt=2)
    language(curriculum=[[4, 10]], tbptt=8)


def test_a_batch_is_a_function_of_its_number() -> None:
    one, other = batches(), batches()
    one[40], one[0]
    assert torch.equal(one[7]["tokens"], other[7]["tokens"])
    assert firsts(0, seed=4) != firsts(0)


def test_another_process_reads_the_same(tmp_path: Path) -> None:
    TOKENS.astype("<u2").tofile(tmp_path / "tokens.bin")
    mapped = np.memmap(tmp_path / "tokens.bin", dtype="<u2", mode="r")
    pieces = [mapped, mapped[5:700], TOKENS[:300], np.array(mapped[::-1])]
    ours = PackedBatches(Stream(pieces), LENGTH, sequences=SEQUENCES, seed=3)
    ours[40]
    theirs = pickle.loads(pickle.dumps(ours))
    assert isinstance(theirs.stream.pieces[0], np.memmap)
    for step in range(60):
        assert torch.equal(theirs[step]["tokens"], ours[step]["tokens"])


def test_a_large_file_is_not_sent_to_another_process(tmp_path: Path) -> None:
    with (tmp_path / "tokens.bin").open("wb") as file:
        file.truncate(2**24)
    mapped = np.memmap(tmp_path / "tokens.bin", dtype="<u2", mode="r")
    assert len(pickle.dumps(Stream([mapped]))) < 1000


def test_what_cannot_be_divided_is_refused() -> None:
    with pytest.raises(ValueError, match=r"12 sequences.*5 ranks.*task\.step_tokens"):
        batches(ranks=5)
    with pytest.raises(ValueError, match=r"10 tokens.*task\.corpus"):
        PackedBatches(Stream([TOKENS[:10]]), 64, sequences=1, seed=0)


@pytest.mark.parametrize(
    ("batch", "ranks", "accumulate"), [(64, 1, 1), (16, 1, 4), (5, 1, 16), (1, 1, 64), (16, 4, 1)]
)
def test_a_step_accumulates_what_does_not_fit(batch: int, ranks: int, accumulate: int) -> None:
    data = language(batch=batch)
    assert data.accumulation(ranks) == accumulate


def test_devices_that_cannot_share_a_step_are_refused() -> None:
    data = language()
    with pytest.raises(ValueError, match="3 devices cannot share the 64 sequences"):
        data.accumulation(3)


def test_a_step_that_is_no_whole_number_of_sequences_is_refused() -> None:
    with pytest.raises(ValueError, match=r"task\.step_tokens"):
        language(length=7)


def test_the_first_pass_ends_with_the_last_text_that_no_step_had() -> None:
    steps = COUNT // SEQUENCES
    last = FirstPass(batches())[steps - 1]["tokens"]
    assert torch.equal(last, batches()[steps - 1]["tokens"])
    with pytest.raises(ValueError, match=r"after 10 steps, and step 10 .* task\.tokens"):
        FirstPass(batches())[steps]


def test_behind_stages_no_text_is_new() -> None:
    with pytest.raises(ValueError, match=r"task\.curriculum=\[\]"):
        FirstPass(batches(curriculum=CURRICULUM))
