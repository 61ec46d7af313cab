"""Bits that a nucleotide costs a model of DNA, beside what it costs a Markov model."""

import sys
import time
from collections.abc import Iterable, Iterator
from math import log2
from typing import Protocol, runtime_checkable

import torch
from rich.progress import track
from torchmetrics.text import Perplexity

from titans.evals.score import Score
from titans.shapes import Tokens
from titans.tasks import NextToken
from titans.tasks.next_token import IGNORED


@runtime_checkable
class GenomeParts(Protocol):
    """Where the nucleotides come from."""

    genome_name: str

    def windows(self, part: str) -> Iterable[dict[str, Tokens]]:
        """All windows of a part, batch by batch, as `tokens` and `targets`."""

    def markov_bits(self, part: str) -> float:
        """What a nucleotide of the part costs a Markov model of the training part."""


class NucleotideBits:
    """Bits a nucleotide of the validation and of the test part; 2 is what chance has.

    Args:
        parts: where the nucleotides come from.
        order: of the Markov model, for the score's name.
    """

    def __init__(self, parts: GenomeParts, *, order: int) -> None:
        self.parts, self.order = parts, order

    def __call__(self, task: NextToken) -> Iterator[Score]:
        """Yields both models' bits of each part, and by how much the network's are fewer."""
        for part in ("validation", "test"):
            began = time.monotonic()
            bits, nucleotides = self._bits(task, part)
            seconds = round(time.monotonic() - began, 2)
            counts = {"nucleotides": nucleotides, "seconds": seconds}
            yield Score(f"{self.parts.genome_name}/{part}/bits", bits, counts)
            name, mark = f"markov{self.order}", self.parts.markov_bits(part)
            yield Score(f"{self.parts.genome_name}/{part}/{name}_bits", mark, {})
            yield Score(f"{self.parts.genome_name}/{part}/below_{name}", mark - bits, {})

    @torch.no_grad()
    def _bits(self, task: NextToken, part: str) -> tuple[float, int]:
        network, nucleotides = task.network.eval(), 0
        perplexity = Perplexity(IGNORED).set_dtype(torch.float64).to(task.device)
        quiet = not sys.stdout.isatty()
        for batch in track(self.parts.windows(part), part, transient=True, disable=quiet):
            targets = batch["targets"].to(task.device)
            logits, _ = network(batch["tokens"].to(task.device))
            perplexity.update(logits.double(), targets)
            nucleotides += int((targets != IGNORED).sum())
        return log2(float(perplexity.compute())), nucleotides
