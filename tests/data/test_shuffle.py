"""A shuffle that keeps dinucleotides exactly, and is one of all there are."""

import itertools
import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.shuffle import dinucleotide_shuffle


def dinucleotides(sequence: str) -> Counter[str]:
    return Counter(a + b for a, b in itertools.pairwise(sequence))


@given(st.text("ACGT", min_size=1, max_size=60), st.integers(0, 99))
def test_dinucleotides_and_ends_stay(sequence: str, seed: int) -> None:
    shuffled = dinucleotide_shuffle(sequence, random.Random(seed))
    assert dinucleotides(shuffled) == dinucleotides(sequence)
    assert Counter(shuffled) == Counter(sequence)
    assert (shuffled[0], shuffled[-1]) == (sequence[0], sequence[-1])
    assert shuffled == dinucleotide_shuffle(sequence, random.Random(seed))


@pytest.mark.parametrize("sequence", ["ACGACTAGA", "AACCAACGA", "ACGTGCATCG"])
def test_each_possible_sequence_is_as_likely(sequence: str) -> None:
    inner = itertools.product(sorted(set(sequence)), repeat=len(sequence) - 2)
    possible = {
        word
        for letters in inner
        if dinucleotides(word := "".join([sequence[0], *letters, sequence[-1]]))
        == dinucleotides(sequence)
    }
    rng, draws = random.Random(0), 400 * len(possible)
    counts = Counter(dinucleotide_shuffle(sequence, rng) for _ in range(draws))
    assert counts.keys() == possible
    assert len(possible) > 1
    # Six deviations of a binomial count.
    assert all(abs(count - 400) < 6 * 400**0.5 for count in counts.values())


def test_a_long_sequence_changes() -> None:
    rng = random.Random(0)
    sequence = "".join(rng.choices("ACGT", k=300))
    shuffled = dinucleotide_shuffle(sequence, rng)
    assert sum(a == b for a, b in zip(sequence, shuffled, strict=True)) < 150
