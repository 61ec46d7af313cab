"""Perplexity by the length of what a model reads, and by the position in it (Figure 7)."""

import math
import sys
import time
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from rich.progress import track

from titans.evals.perplexity import Text, losses_of_pieces
from titans.evals.score import Score
from titans.tasks import NextToken


class ContextPerplexity:
    """The same held-out tokens in sequences of each length, each begun with no state.

    All tokens of the validation part are cut into the longest sequences, one document behind the
    other, and these into the shorter ones; what is left at the end is not scored. So the lengths
    differ in nothing but how far back a prediction may look. Of the longest, each octave of
    positions has a score of its own besides: `position/2048` is that of tokens 1,024 to 2,047.

    Args:
        text: where the documents come from.
        lengths: tokens of a sequence; each divides the next.
        batch: sequences side by side, at most.
        piece: tokens of each that are read at a time; it divides every length.

    Raises:
        ValueError: a length is no multiple of the one before, or of `piece`.
    """

    def __init__(
        self, text: Text, *, lengths: Sequence[int], batch: int = 16, piece: int = 512
    ) -> None:
        self.text, self.lengths, self.batch, self.piece = text, sorted(lengths), batch, piece
        steps = [piece, *self.lengths]
        if piece < 1 or any(long % short for short, long in zip(steps, self.lengths, strict=False)):
            raise ValueError(
                f"task.lengths {list(lengths)}: each has to be a multiple of the one before, and "
                f"the shortest of {piece}: set for instance [2048,4096,8192]"
            )

    def __call__(self, task: NextToken) -> Iterator[Score]:
        """Yields a score for each length, and for each octave of positions in the longest.

        Raises:
            ValueError: the validation part is shorter than one sequence, or the model of a
                checkpoint was trained on other pieces.
        """
        task.check_pieces(self.text.tokenizer, self.text.end)
        stream, longest = self.text.stream("validation"), self.lengths[-1]
        total = (len(stream) - 1) // longest * longest
        if not total:
            raise ValueError(
                f"the validation part has {len(stream):,} tokens, fewer than one sequence of "
                f"{longest:,}: set shorter task.lengths, or a larger task.held_out"
            )
        tokens = np.asarray(stream.read(0, total + 1)).astype(np.int64)
        for length in reversed(self.lengths):
            began = time.monotonic()
            by_position = self._by_position(task, tokens, length)
            counts = {"tokens": total, "sequences": total // length}
            if length == longest:
                yield from self._octaves(by_position, total // length)
            seconds = round(time.monotonic() - began, 2)
            mean = float(by_position.mean())
            yield Score(f"context/{length}", math.exp(mean), counts | {"seconds": seconds})

    def _octaves(self, by_position: torch.Tensor, sequences: int) -> Iterator[Score]:
        start, stop = 0, self.piece
        while start < len(by_position):
            octave = by_position[start:stop]
            counts = {"tokens": len(octave) * sequences}
            yield Score(f"position/{stop}", math.exp(float(octave.mean())), counts)
            start, stop = stop, 2 * stop

    @torch.inference_mode()
    def _by_position(self, task: NextToken, tokens: np.ndarray, length: int) -> torch.Tensor:
        """Mean loss (nats) of each position over all sequences, `[length]`."""
        network = task.network.eval()
        # The last token of a sequence is the first of the next.
        rows = np.lib.stride_tricks.sliding_window_view(tokens, length + 1)[::length]
        batches = [rows[first : first + self.batch] for first in range(0, len(rows), self.batch)]
        title = f"perplexity at {length:,} tokens"
        losses = torch.zeros(length, dtype=torch.float64)
        for batch in track(batches, title, transient=True, disable=not sys.stdout.isatty()):
            pieces = losses_of_pieces(network, batch, self.piece)
            losses += torch.cat([piece.sum(0, dtype=torch.float64) for piece in pieces]).cpu()
        return losses / len(rows)
