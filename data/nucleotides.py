"""DNA as tokens, one nucleotide each."""

from typing import Final

import numpy as np
from torch import Tensor, from_numpy

ALPHABET: Final = "ACGTN"
PADDING: Final = len(ALPHABET)
VOCABULARY: Final = PADDING + 1
UNKNOWN: Final = ALPHABET.index("N")
# IUPAC's codes for several possible nucleotides; U is the T of RNA.
AMBIGUOUS: Final = "RYSWKMBDHV"
# Every letter that `encode` reads, as bytes.
LETTERS: Final = "".join(
    both for x in ALPHABET + AMBIGUOUS + "U" for both in (x, x.lower())
).encode()

_REFUSED: Final = 255


def _table() -> np.ndarray:
    """Byte to token; lower case, which masks repeats in a genome, means the same nucleotide."""
    table = np.full(256, _REFUSED, dtype=np.uint8)
    tokens = {letter: token for token, letter in enumerate(ALPHABET)}
    tokens |= dict.fromkeys(AMBIGUOUS, UNKNOWN) | {"U": tokens["T"]}
    for letter, token in tokens.items():
        table[[ord(letter), ord(letter.lower())]] = token
    return table


_TOKENS: Final = _table()
_COMPLEMENT: Final = np.array([3, 2, 1, 0, UNKNOWN, PADDING], dtype=np.uint8)


def encode(sequence: str) -> Tensor:
    """The tokens `[time]` (uint8) of a sequence: A, C, G, T as 0 to 3, what is unknown as 4.

    Raises:
        ValueError: at the first letter that stands for no nucleotide.
    """
    letters = np.frombuffer(sequence.encode("latin-1", "replace"), dtype=np.uint8)
    tokens = _TOKENS[letters]
    if (wrong := np.flatnonzero(tokens == _REFUSED)).size:
        position = int(wrong[0])
        raise ValueError(
            f"{sequence[position]!r} at position {position + 1} is no nucleotide: "
            f"letters are {ALPHABET}, IUPAC's {AMBIGUOUS} (read as N) and U"
        )
    return from_numpy(tokens)


def decode(tokens: Tensor) -> str:
    """The letters of tokens `[time]`; padding is dropped."""
    return "".join(ALPHABET[token] for token in tokens.tolist() if token != PADDING)


def reverse_complement(tokens: Tensor) -> Tensor:
    """The other strand of tokens `[time]` (uint8), read in its own direction."""
    return from_numpy(_COMPLEMENT[tokens.flip(0).numpy()])
