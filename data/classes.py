"""The parts of a set as tokens and class numbers, checked; and how a part is cut evenly."""

from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

from data.nucleotides import PADDING, encode
from data.promoters import promoters
from data.sequence_file import Part, Row, find
from data.sequence_sample import sample
from data.sequences import PARTS, SOURCES, Source


class Sequences(NamedTuple):
    """Sequences side by side.

    Attributes:
        tokens: `[sequences, longest]` (uint8), filled up with padding at the end.
        labels: the number of each one's class, `[sequences]`.
    """

    tokens: Tensor
    labels: Tensor

    def chosen(self, which: Tensor) -> "Sequences":
        """Return those that a mask or an index `[n]` names."""
        return Sequences(self.tokens[which], self.labels[which])


@cache
def load_sequences(dataset: str, part: str) -> Sequences:
    """Return the `train` or the `test` part of a set.

    Raises:
        FileNotFoundError: it is neither in a folder nor to be had from the hub.
        ValueError: it is not what was published, or a sequence cannot be one.
    """
    made = {"sample": sample, "fly_promoters": promoters}
    found = made[dataset](part) if dataset in made else find(dataset, part)
    return _checked(found, SOURCES[dataset], f"{dataset}, {part}", PARTS.index(part))


def _checked(found: Part, source: Source, name: str, which: int) -> Sequences:
    numbers = {word: n for n, label in enumerate(source.classes) for word in (label, str(n))}
    tokens, words = [], []
    for row in found.rows:
        if row.label not in numbers:
            known = ", ".join(source.classes)
            raise ValueError(f"{row.place}: {row.label!r} is no class of {known}, or its number")
        tokens.append(_tokens(row, source.longest))
        words.append(row.label)
    labels = torch.tensor([numbers[word] for word in words], dtype=torch.long)
    counts = labels.bincount(minlength=len(source.classes)).tolist()
    published = [parts[which] for parts in source.classes.values()]
    named = not source.classes.keys().isdisjoint(words)
    if source.reordered and sorted(counts) == sorted(published) and not named:
        labels = torch.tensor([published.index(n) for n in counts])[labels]
    elif counts != published:
        raise ValueError(
            f"{name}: {counts} sequences of the classes {', '.join(source.classes)} instead of "
            f"{published} in {found.place}: take a whole copy of the published set"
        )
    return Sequences(torch.stack(tokens), labels)


def _tokens(row: Row, longest: int) -> Tensor:
    length = len(row.sequence)
    if not 1 <= length <= longest:
        what = "longer than the longest of the benchmark" if length else "an empty sequence"
        raise ValueError(f"{row.place}: {length} nucleotides, {what} ({longest})")
    try:
        tokens = encode(row.sequence)
    except ValueError as error:
        raise ValueError(f"{row.place}: {error}") from error
    return torch.cat([tokens, tokens.new_full((longest - length,), PADDING)])


def evenly(labels: Tensor, parts: int, seed: int) -> Tensor:
    """Deal the sequences `[n]` of each class out to `parts` parts; return each one's part `[n]`.

    Classes that are equally many are dealt out alike: their sequences of one rank go together.
    """
    part = torch.empty_like(labels)
    for label in labels.unique():
        of_class = (labels == label).nonzero().squeeze(1)
        generator = torch.Generator().manual_seed(seed)
        order = torch.randperm(len(of_class), generator=generator)
        part[of_class[order]] = torch.arange(len(of_class)) % parts
    return part
