"""A step is the same however many processes share it, and whatever they take at once."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from data.needle import NeedleData
from data.packing import PackedBatches, Stream
from data.pretraining import NucleotideData
from data.prompt import IGNORED
from data.steps import accumulation, part_of


@pytest.mark.parametrize(
    ("sequences", "ranks", "most", "batches"),
    [
        (64, 1, None, 1),
        (64, 2, None, 1),
        (64, 2, 8, 4),
        (64, 1, 5, 16),
        (12, 4, 2, 3),
        (3, 3, 9, 1),
    ],
)
def test_a_share_is_gone_through_in_few_equal_batches(
    sequences: int, ranks: int, most: int | None, batches: int
) -> None:
    assert accumulation(sequences, ranks, most) == batches


def test_what_cannot_be_shared_says_what_to_set() -> None:
    with pytest.raises(ValueError, match=r"3 devices .* 64 sequences .*hardware\.trainer\.devices"):
        accumulation(64, 3, None)
    with pytest.raises(ValueError, match=r"hardware\.micro_batch is 0"):
        accumulation(64, 2, 0)


def needles(micro_batch: int | None = None) -> Any:
    data = NeedleData(length=256, curriculum={128: 0, 256: 3}, tokens_per_batch=1024, vary=0.25,
                      micro_batch=micro_batch)  # fmt: skip
    return data.batches(), data


@pytest.fixture
def windows(tmp_path: Path) -> Any:
    letters = torch.randint(5, (1000,), generator=torch.Generator().manual_seed(0)).tolist()
    path = tmp_path / "some.fa"
    path.write_text(">one\n" + "".join("ACGTN"[i] for i in letters) + "\n", "ascii")
    data = NucleotideData(fasta=path, block=50, length=16, batch=4)
    data.setup()
    return data.train_dataloader().dataset, data


@pytest.mark.parametrize("step", [0, 3])
@pytest.mark.parametrize(("ranks", "accumulate"), [(2, 1), (1, 2), (2, 2)])
@pytest.mark.parametrize("source", ["needles", "windows"])
def test_parts_make_the_step_of_one_process(
    request: pytest.FixtureRequest, source: str, step: int, ranks: int, accumulate: int
) -> None:
    batches, _ = needles() if source == "needles" else request.getfixturevalue(source)
    whole = batches[step]
    batches.ranks, batches.accumulate = ranks, accumulate
    parts = []
    for part in range(accumulate):
        for batches.rank in range(ranks):
            parts.append(batches[step * accumulate + part])
    for name in ("tokens", "targets"):
        together = torch.stack([part[name] for part in parts], dim=1).flatten(0, 1)
        assert torch.equal(together, whole[name])
    # The loss of all targets is the mean of those of the parts, each divided by `asked`.
    asked = sum((part["targets"] != IGNORED).sum() / part["asked"] for part in parts)
    assert asked / len(parts) == pytest.approx(1.0)
    assert whole["asked"] == (whole["targets"] != IGNORED).sum()


def test_prompts_are_shared_at_the_length_that_has_the_fewest() -> None:
    _, data = needles(micro_batch=1)
    assert (data.accumulation(1), data.accumulation(2)) == (4, 2)
    with pytest.raises(ValueError, match="3 devices"):
        data.accumulation(3)


def test_parts_leave_a_step_whole() -> None:
    step = {"tokens": torch.arange(12).view(6, 2), "targets": torch.full((6, 2), IGNORED)}
    step["targets"][0] = 1
    parts = [part_of(step, part, 3) for part in range(3)]
    assert [part["tokens"][:, 0].tolist() for part in parts] == [[0, 6], [2, 8], [4, 10]]
    assert [float(part["asked"]) for part in parts] == [pytest.approx(2 / 3)] * 3


def test_segments_follow_each_other() -> None:
    stream = Stream([torch.arange(1000).numpy().astype("uint16")])
    make: Callable[..., PackedBatches] = lambda **settings: PackedBatches(  # noqa: E731
        stream, 24, sequences=4, seed=1, **settings
    )
    whole, cut = make(accumulate=2), make(accumulate=6, segments=3)
    for index in range(8):
        pieces = [cut[3 * index + segment] for segment in range(3)]
        assert [piece["continues"] for piece in pieces] == [False, True, True]
        for name in ("tokens", "targets"):
            assert torch.equal(torch.cat([piece[name] for piece in pieces], 1), whole[index][name])
