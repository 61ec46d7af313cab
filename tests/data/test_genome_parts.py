"""A genome in three parts, and the order-k model that is counted on one of them."""

from itertools import pairwise
from math import log2
from pathlib import Path

import numpy as np
import pytest
import torch

from data.genome import Genome
from data.genome_parts import PARTS, divide, pieces
from data.intervals import Interval
from data.markov import Markov
from data.nucleotides import decode, encode, reverse_complement

LENGTHS = {"one": 130, "two": 47, "three": 9}


@pytest.fixture
def genome(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Genome:
    monkeypatch.setenv("TITANS_CACHE", str(tmp_path / "cache"))
    rng = np.random.default_rng(0)
    path = tmp_path / "some.fa"
    drawn = {name: "".join(rng.choice([*"ACGT"], size)) for name, size in LENGTHS.items()}
    path.write_text("".join(f">{name}\n{text}\n" for name, text in drawn.items()), "ascii")
    return Genome(path)


def bed(folder: Path, *lines: str) -> Path:
    path = folder / "some.bed"
    path.write_text("\n".join(lines).replace(" ", "\t") + "\n", encoding="ascii")
    return path


def places(intervals: list[Interval]) -> list[tuple[str, int]]:
    return [(i.contig, at) for i in intervals for at in range(i.start, i.end)]


def test_blocks_divide_every_nucleotide_once(genome: Genome) -> None:
    parts = divide(genome, None, block=10)
    found = [place for part in PARTS for place in places(parts[part])]
    assert len(found) == len(set(found)) == sum(LENGTHS.values())
    assert [(i.start, i.end) for i in parts["validation"]] == [(80, 90), (0, 9)]
    assert [(i.start, i.end) for i in parts["test"]] == [(90, 100)]
    # A window may go from block to block as long as they are of one part.
    assert parts["train"][0] == Interval("one", 0, 80)
    assert all(a.contig != b.contig or a.end < b.start for a, b in pairwise(parts["train"]))


def test_intervals_without_names_are_divided_by_place_and_not_by_strand(
    genome: Genome, tmp_path: Path
) -> None:
    path = bed(tmp_path, "one 5 125", "one 0 120 ", "two 20 45", "three 2 9")
    path.write_text(path.read_text() + "one\t83\t97\t\t0\t-\n", encoding="ascii")
    parts = divide(genome, path, block=10)
    found = [(i.contig, i.start, i.end, i.strand) for i in parts["validation"]]
    assert found == [("one", 80, 90, "+"), ("one", 83, 90, "-"), ("three", 2, 9, "+")]
    assert [(i.start, i.end, i.strand) for i in parts["test"]] == [(90, 100, "+"), (90, 97, "-")]


def test_named_intervals_are_of_the_part_they_say(genome: Genome, tmp_path: Path) -> None:
    lines = ["one 0 40 train", "one 30 60 train", "two 0 9 train 0 -", "one 60 90 valid"]
    parts = divide(genome, bed(tmp_path, *lines, "chrone 90 130 test"), block=10)
    assert [(i.contig, i.start, i.end, i.strand) for i in parts["train"]] == [
        ("one", 0, 60, "+"),
        ("two", 0, 9, "-"),
    ]
    assert places(parts["validation"]) == [("one", at) for at in range(60, 90)]
    assert places(parts["test"]) == [("one", at) for at in range(90, 130)]


@pytest.mark.parametrize(
    ("lines", "named"),
    [
        (["one 0 40 train", "one 39 60 valid"], "line 2: this validation .* train .*line 1"),
        (["one 0 90 train", "one 9 20 train", "one 30 40 test 0 -"], "line 3: .* line 1"),
        (["one 0 40 train", "one 40 60 gene"], "line 2: 'gene' is none of the parts"),
        (["one 0 40 train", "one 40 60"], "line 2: '' is none of the parts"),
        (["one 0 40 train", "one 40 60 valid"], "nothing for the part test"),
        (["one 0 40 train", "one 40 131 valid"], "line 2: 40-131 .* from 0 to 130"),
        (["one 0 40 train", "four 40 60 valid"], "line 2: four is not in"),
    ],
    ids=["overlap", "other strand", "name", "nameless", "no test", "beyond the end", "unknown"],
)
def test_intervals_that_make_no_parts_are_refused(
    genome: Genome, tmp_path: Path, lines: list[str], named: str
) -> None:
    with pytest.raises(ValueError, match=rf"some\.bed.*{named}"):
        divide(genome, bed(tmp_path, *lines), block=10)


@pytest.mark.parametrize(("block", "named"), [(0, "task.block"), (100, "task.block")])
def test_a_block_that_leaves_a_part_empty_is_refused(
    genome: Genome, block: int, named: str
) -> None:
    with pytest.raises(ValueError, match=named):
        divide(genome, None, block)


@pytest.mark.parametrize("strand", ["+", "-"])
def test_pieces_follow_one_another_along_their_strand(genome: Genome, strand: str) -> None:
    interval = Interval("one", 3, 100, strand)
    text = "".join(map(genome.letters, pieces([interval], 10)))
    assert text == genome.letters(interval)
    assert genome.letters(interval.along(5, 9)) == text[5:9]


def test_the_markov_model_counts_what_follows_what() -> None:
    model = Markov(1).fit([encode("ACACAN"), encode("AC")])
    # Behind the beginning and N: A twice. Behind A: C three times. Behind C: A twice.
    first, after_a, after_c = log2(6 / 3), log2(7 / 4), log2(6 / 3)
    bits, number = model.bits([encode("ACAN"), encode("N")])
    assert number == 3
    assert bits == pytest.approx((first + after_a + after_c) / 3)


def test_the_markov_model_tends_to_the_entropy_of_what_it_is_fitted_to() -> None:
    rng = np.random.default_rng(0)
    steps = rng.choice(4, size=200_000, p=[0.7, 0.1, 0.1, 0.1])
    tokens = torch.from_numpy((steps.cumsum() % 4).astype(np.uint8))
    entropy = -(0.7 * log2(0.7) + 0.3 * log2(0.1))
    for order, bits in [(0, 2.0), (1, entropy), (4, entropy)]:
        model = Markov(order).fit([tokens[:150_000]])
        assert model.bits([tokens[150_000:]])[0] == pytest.approx(bits, abs=0.02)


def test_fitted_to_both_strands_it_reads_both_alike() -> None:
    tokens = encode("ACGGTCAANNTTACG" * 9)
    model = Markov(0).fit([tokens, reverse_complement(tokens)])
    assert decode(reverse_complement(reverse_complement(tokens))) == decode(tokens)
    assert model.bits([tokens])[0] == pytest.approx(model.bits([reverse_complement(tokens)])[0])


def test_an_order_that_needs_too_much_memory_is_refused() -> None:
    with pytest.raises(ValueError, match="order"):
        Markov(11)
