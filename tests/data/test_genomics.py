"""Parts that share nothing, folds that make up the whole, and batches by their step."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from data.classes import Sequences, evenly, load_sequences
from data.genomics import GenomicsData, SequenceBatches
from data.nucleotides import PADDING, VOCABULARY, decode
from data.sequence_sample import MOTIF
from data.sequences import SOURCES

PARTS = ("train", "validation", "test")


def words(sequences: Sequences) -> list[str]:
    return [decode(tokens) for tokens in sequences.tokens]


def made(**settings: Any) -> GenomicsData:
    return GenomicsData(**{"dataset": "sample"} | settings)


@pytest.mark.parametrize("fold", [None, 0, 3])
def test_the_parts_share_nothing_and_depend_on_no_seed(fold: int | None) -> None:
    settings = {} if fold is None else {"folds": 5, "fold": fold}
    first, second = made(seed=0, **settings), made(seed=1, **settings)
    parts = [set(words(first.part(part))) for part in PARTS]
    assert [words(first.part(part)) for part in PARTS] == [words(second.part(p)) for p in PARTS]
    assert not any(a & b for a, b in ((parts[0], parts[1]), (parts[0], parts[2]), parts[1:]))
    sizes = [len(first.part(part).labels) for part in PARTS]
    assert sizes == ([360, 40, 200] if fold is None else [144, 16, 40])
    for part in PARTS:
        assert first.part(part).labels.float().mean() == 0.5


def test_the_folds_make_up_the_test_part() -> None:
    whole = load_sequences("sample", "test")
    folds = [made(folds=5, fold=fold).part("test") for fold in range(5)]
    assert sorted(word for fold in folds for word in words(fold)) == sorted(words(whole))
    assert made(folds=5).protocol == "stand_in_cross_validated_"


def test_classes_are_dealt_out_evenly_and_alike() -> None:
    labels = torch.tensor([0] * 23 + [1] * 23 + [2] * 7)
    part = evenly(labels, 5, seed=0)
    for label, most in ((0, 5), (1, 5), (2, 2)):
        counts = part[labels == label].bincount(minlength=5)
        assert counts.max() == most
        assert counts.max() - counts.min() <= 1
    assert torch.equal(part[:23], part[23:46])
    assert not torch.equal(part, evenly(labels, 5, seed=1))


def test_the_sample_is_what_it_says() -> None:
    for part in ("train", "test"):
        sequences = load_sequences("sample", part)
        assert [MOTIF in word for word in words(sequences)] == sequences.labels.bool().tolist()
    assert len({*words(load_sequences("sample", "train"))}) == 400


def test_a_batch_is_as_long_as_its_longest() -> None:
    tokens = torch.full((4, 9), PADDING, dtype=torch.uint8)
    for row, length in enumerate((3, 1, 5, 2)):
        tokens[row, :length] = row % 4
    batches = SequenceBatches(Sequences(tokens, torch.arange(4)), batch=4, seed=0)
    (first, again), second = [batches[0] for _ in range(2)], batches[1]
    assert first["tokens"].shape == (4, 5)
    assert first["tokens"].dtype == torch.long
    assert torch.equal(first["tokens"], again["tokens"])
    assert sorted(first["labels"].tolist()) == sorted(second["labels"].tolist()) == [0, 1, 2, 3]
    share = SequenceBatches(
        Sequences(tokens, torch.arange(4)), batch=4, seed=0, rank=1, ranks=2, accumulate=2
    )
    assert share[0]["labels"].tolist() == first["labels"][[1]].tolist()


def test_all_sequences_of_a_part_come_once() -> None:
    data = made(batch=64)
    labels = torch.cat([batch["labels"] for batch in data.sequences("test")])
    assert torch.equal(labels, data.part("test").labels)
    assert data.steps == 10 * (360 // 64)


def test_the_configuration_says_what_the_sources_say(compose: Callable[..., Any]) -> None:
    task = compose("task=genomics").task
    assert dict(task.longest_of) == {name: source.longest for name, source in SOURCES.items()}
    for name, source in SOURCES.items():
        task = compose("task=genomics", f"task.dataset={name}").task
        assert task.classes == len(source.classes)
    assert (task.stack.vocabulary, task.stack.padding) == (VOCABULARY, PADDING)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"dataset": "worm"}, "human_enhancers_cohn"),
        ({"folds": 5, "fold": 5}, "task.folds=5 from 0 to 4"),
        ({"fold": 1}, "task.fold is 1"),
        ({"folds": 0}, "task.fold is 0"),
        ({"classes": 5}, "task.classes is 5, and sample has"),
        ({"batch": 0}, "task.training.batch"),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused(settings: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        made(**settings)


def test_a_batch_that_cannot_be_filled_is_refused() -> None:
    with pytest.raises(ValueError, match="360 training sequences for a batch of 361"):
        _ = made(batch=361).steps
