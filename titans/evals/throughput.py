"""What a network costs at a length: tokens a second and peak memory (Figures 8 and 9)."""

import logging
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from math import nan
from statistics import median

import torch
from rich.progress import track

from titans.evals.measure import LEAST_RUNS, peak_megabytes, timings
from titans.evals.memory_limit import is_out_of_memory, within_free_memory
from titans.evals.score import Score
from titans.evals.workload import MODES, Workloads
from titans.tasks import NextToken

log = logging.getLogger(__name__)

# What the trainer calls a precision -> what autocast computes in.
PRECISIONS = {"32-true": None, "bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}


class Throughput:
    """Thousand tokens a second, and peak memory, by mode and length.

    Every length gets as many sequences as fit into a fixed number of tokens, so that a step is
    the same amount of text at every length. The tokens are drawn at random.

    Args:
        lengths: tokens of a sequence.
        tokens: of all sequences of a step; a longer length is one sequence.
        modes: `train`, `forward`, `decode`: what is measured, in this order.
        repeats: timed runs, whose median counts; at least 5.
        new_tokens: how many are decoded in a run.
        piece: tokens of a prompt that are read at a time.
        precision: as the trainer names it.

    Raises:
        ValueError: an unknown mode or precision, too few runs, or nothing to measure.
    """

    def __init__(
        self,
        *,
        lengths: Sequence[int],
        tokens: int = 32_768,
        modes: Sequence[str] = tuple(MODES),
        repeats: int = LEAST_RUNS,
        new_tokens: int = 64,
        piece: int = 2048,
        precision: str = "32-true",
    ) -> None:
        _check(modes, MODES, "task.modes")
        _check([precision], PRECISIONS, "hardware.trainer.precision")
        if repeats < LEAST_RUNS:
            raise ValueError(f"the median of {repeats}: set task.repeats to {LEAST_RUNS} or more")
        if not modes or not lengths or min([*lengths, new_tokens, piece]) < 1:
            raise ValueError("nothing to measure: name modes and lengths, of 1 token or more")
        self.lengths, self.tokens, self.modes, self.repeats = lengths, tokens, modes, repeats
        self.new_tokens, self.piece, self.dtype = new_tokens, piece, PRECISIONS[precision]

    def __call__(self, task: NextToken) -> Iterator[Score]:
        """Yields `<mode>/<length>/ktokens_per_s`, `…/peak_mb` and `decode/<length>/ms_per_token`.

        They are not numbers, and counted as `out_of_memory`, where the memory does not suffice.
        """
        for mode in self.modes:
            for length in self.lengths:
                yield from self._scores(task, mode, length)

    def _scores(self, task: NextToken, mode: str, length: int) -> Iterator[Score]:
        name, batch, began = f"{mode}/{length}", max(1, self.tokens // length), time.monotonic()
        counts: dict[str, float] = {"batch": batch}
        try:
            speed, wait, peak = self._measure(task, mode, batch, length)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            log.warning("%s: out of memory with a batch of %d", name, batch)
            speed = wait = peak = nan
            counts["out_of_memory"] = 1
        counts["seconds"] = round(time.monotonic() - began, 2)
        yield Score(f"{name}/ktokens_per_s", speed, counts)
        if mode == "decode":
            yield Score(f"{name}/ms_per_token", wait, counts)
        yield Score(f"{name}/peak_mb", peak, counts)

    def _measure(
        self, task: NextToken, mode: str, batch: int, length: int
    ) -> tuple[float, float, float]:
        """Thousand tokens a second, milliseconds from token to token, peak memory in MB."""
        device = next(task.network.parameters()).device
        vocabulary = task.network.embedding.num_embeddings
        tokens = torch.randint(vocabulary, (batch, length + 1)).to(device)
        workloads = Workloads(task, dtype=self.dtype, new_tokens=self.new_tokens, piece=self.piece)
        with within_free_memory(device):
            call, steps = MODES[mode](workloads, tokens)
            runs = timings(call, device, runs=self.repeats)
            seconds = median(self._watch(runs, f"{mode}/{length}"))
            peak = peak_megabytes(call, device)
        return batch * steps / seconds / 1000, 1000 * seconds / steps, peak

    def _watch(self, runs: Iterable[float], name: str) -> Iterable[float]:
        """A bar, where somebody watches."""
        hidden = not sys.stdout.isatty()
        return track(runs, name, total=self.repeats, transient=True, disable=hidden)


def _check(chosen: Iterable[str], known: Iterable[str], setting: str) -> None:
    unknown = [name for name in chosen if name not in known]
    if unknown:
        raise ValueError(f"{setting}: {', '.join(unknown)} is none of {', '.join(known)}")
