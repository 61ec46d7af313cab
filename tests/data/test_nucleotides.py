"""Letters to tokens and back, and the other strand."""

import pytest
import torch

from data.nucleotides import ALPHABET, PADDING, decode, encode, reverse_complement


def test_every_letter_has_its_token() -> None:
    assert encode(ALPHABET).tolist() == [0, 1, 2, 3, 4]
    assert encode("acgtn").tolist() == [0, 1, 2, 3, 4]
    assert encode("RYSWKMBDHVryu").tolist() == [4] * 12 + [3]
    assert encode("").tolist() == []
    assert decode(torch.tensor([0, 3, PADDING])) == "AT"


@pytest.mark.parametrize("letter", ["-", " ", "X", "é", "\u4e2d", "1"])
def test_another_letter_is_refused_with_its_position(letter: str) -> None:
    with pytest.raises(ValueError, match="at position 3 is no nucleotide"):
        encode("AC" + letter + "T")


def test_the_other_strand() -> None:
    assert decode(reverse_complement(encode("AACGTN"))) == "NACGTT"
    tokens = encode("GATTACANNC")
    assert torch.equal(reverse_complement(reverse_complement(tokens)), tokens)
