"""Whoever shares a run, and however often that changes: no sequence is lost or doubled."""

import pickle
from collections.abc import Callable
from itertools import chain, pairwise
from typing import Any

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from data.epochs import EpochBatches
from data.packing import PackedBatches, Stream
from data.prompt import IGNORED
from data.steps import StepsFrom, accumulation, part_of

Make = Callable[..., Any]


class Numbers(EpochBatches):
    """Examples that are their numbers."""

    def examples(self, chosen: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"tokens": chosen[:, None]}


def packed(data: st.DataObject, sequences: int, seed: int) -> Make:
    """A stream in pieces anywhere, each of whose tokens is its place."""
    length = data.draw(st.integers(1, 9), label="length")
    count = data.draw(st.integers(1, 20), label="sequences of the stream")
    tokens = np.arange(count * length + data.draw(st.integers(1, length)), dtype=np.uint16)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(tokens)), max_size=4), label="cuts"))
    stream = Stream(np.split(tokens, cuts))
    return lambda **place: PackedBatches(stream, length, sequences=sequences, seed=seed, **place)


def numbered(data: st.DataObject, batch: int, seed: int) -> Make:
    count = data.draw(st.integers(batch, 3 * batch), label="examples")
    return lambda **place: Numbers(count, batch=batch, seed=seed, **place)


def divisors(number: int) -> st.SearchStrategy[int]:
    return st.sampled_from([n for n in range(1, number + 1) if number % n == 0])


def taken(make: Make, step: int, ranks: int, accumulate: int) -> list[list[int]]:
    """The sequences of a step, whoever reads them, in no order."""
    found: list[list[int]] = []
    for rank in range(ranks):
        batches: Any = make(rank=rank, ranks=ranks, accumulate=accumulate)
        for part in range(accumulate):
            found += batches[step * accumulate + part]["tokens"].tolist()
    return sorted(found)


@settings(max_examples=40)
@given(data=st.data(), sequences=st.integers(1, 12), seed=st.integers(0, 2**63 - 1))
def test_a_step_is_the_same_however_it_is_shared(
    data: st.DataObject, sequences: int, seed: int
) -> None:
    make = data.draw(st.sampled_from([packed, numbered]))(data, sequences, seed)
    for step in range(data.draw(st.integers(1, 4), label="steps")):
        ranks = data.draw(divisors(sequences), label="ranks")
        accumulate = data.draw(divisors(sequences // ranks), label="accumulate")
        assert taken(make, step, ranks, accumulate) == taken(make, step, 1, 1)


@settings(max_examples=40)
@given(data=st.data(), sequences=st.integers(1, 12), seed=st.integers(0, 99))
def test_every_token_is_read_once_an_epoch(data: st.DataObject, sequences: int, seed: int) -> None:
    make = packed(data, sequences, seed)
    length = make().length
    count = (len(make().stream) - 1) // length
    epochs = data.draw(st.integers(1, 3))
    seen: list[list[int]] = []
    for step in range(-(-epochs * count // sequences)):
        seen += make()[step]["tokens"].tolist()
    for first in range(0, epochs * count, count):
        epoch = sorted(seen[first : first + count])
        assert list(chain(*epoch)) == list(range(count * length))


@settings(max_examples=40)
@given(data=st.data(), sequences=st.integers(1, 12), seed=st.integers(0, 99))
def test_a_batch_is_a_function_of_seed_step_and_rank(
    data: st.DataObject, sequences: int, seed: int
) -> None:
    make = data.draw(st.sampled_from([packed, numbered]))(data, sequences, seed)
    ranks = data.draw(divisors(sequences))
    place = {"ranks": ranks, "rank": data.draw(st.integers(0, ranks - 1))}
    worn, number = make(**place), data.draw(st.integers(0, 50))
    for other in data.draw(st.lists(st.integers(0, 50), max_size=4)):
        worn[other]
    assert torch.equal(worn[number]["tokens"], make(**place)[number]["tokens"])


def test_another_process_has_the_batches_of_this_one() -> None:
    batches = Numbers(20, batch=4, seed=3)
    batches[7]
    theirs = pickle.loads(pickle.dumps(batches))
    for number in range(12):
        assert torch.equal(theirs[number]["tokens"], batches[number]["tokens"])


@settings(max_examples=40)
@given(sequences=st.integers(1, 64), ranks=st.integers(1, 8), most=st.integers(1, 64) | st.none())
def test_a_share_is_gone_through_in_the_fewest_batches_that_fit(
    sequences: int, ranks: int, most: int | None
) -> None:
    fit = [n for n in range(1, sequences + 1) if sequences % n == 0]
    fit = [n for n in fit if sequences // n <= (most or sequences)]
    assert accumulation(sequences * ranks, ranks, most) == fit[0]


@settings(max_examples=40)
@given(data=st.data(), rows=st.integers(1, 12), time=st.integers(1, 4))
def test_the_loss_of_the_parts_is_that_of_the_step(
    data: st.DataObject, rows: int, time: int
) -> None:
    asked = st.lists(st.sampled_from([IGNORED, 1]), min_size=time, max_size=time)
    targets = torch.tensor(data.draw(st.lists(asked, min_size=rows, max_size=rows)))
    losses = torch.rand(rows, time, generator=torch.Generator().manual_seed(rows))
    step = {"tokens": torch.arange(rows), "targets": targets, "losses": losses}
    parts = data.draw(divisors(rows))
    shares = [part_of(step, part, parts) for part in range(parts)]
    assert sorted(chain(*(share["tokens"].tolist() for share in shares))) == list(range(rows))
    if (targets != IGNORED).any():
        mean = sum((s["losses"] * (s["targets"] != IGNORED)).sum() / s["asked"] for s in shares)
        torch.testing.assert_close(mean / parts, losses[targets != IGNORED].mean())


@settings(max_examples=40)
@given(ends=st.lists(st.integers(0, 50), min_size=1, max_size=6).map(sorted))
def test_runs_that_were_cut_take_the_steps_of_one(ends: list[int]) -> None:
    steps: list[int] = []
    for start, end in pairwise([0, *ends]):
        steps += [step for step in StepsFrom(start, ends[-1]) if step < end]
    assert steps == list(StepsFrom(0, ends[-1])) == list(range(ends[-1]))
