"""BABILong: how often questions about facts in a long text are answered, and a picture of it."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

from titans.evals.needle import Needle, Prompts
from titans.evals.score import Score
from titans.tasks import NextToken


class Questions(Prompts, Protocol):
    """Prompts of one task."""

    @property
    def name(self) -> str:
        """What is asked."""

    @property
    def tokenizer(self) -> str:
        """The pieces of the prompts, as a `tokenizer.json` has them."""

    @property
    def chance(self) -> float:
        """Percent that the most frequent answer would be right."""


class Babilong:
    """Accuracy in percent by length.

    Args:
        prompts: where the questions come from.
        new_tokens: at most so many are generated, as the benchmark does.
        batch: prompts read side by side.
        piece: tokens of each that are read at a time.
        picture: where a plot goes; None for none.
    """

    def __init__(
        self,
        prompts: Questions,
        *,
        new_tokens: int = 20,
        batch: int = 10,
        piece: int = 1024,
        picture: str | None = None,
    ) -> None:
        self.prompts, self.picture = prompts, picture
        self.answers = Needle(prompts, new_tokens=new_tokens, batch=batch, piece=piece)

    def __call__(self, task: NextToken) -> Iterator[Score]:
        """Yields percents, short lengths first, with the prompts and the seconds behind each."""
        task.check_pieces(self.prompts.tokenizer, self.prompts.end)
        found: dict[int, Score] = {}
        for score in self.answers(task):
            found[int(score.name.rpartition("/")[2])] = score
            yield score
            # A run that is stopped at a long text has a picture of the shorter ones.
            if self.picture:
                draw(found, Path(self.picture), title=self.prompts.name, chance=self.prompts.chance)


def draw(scores: Mapping[int, Score], path: Path, *, title: str, chance: float) -> None:
    """Writes a PNG: accuracy against length, with 95% intervals of the prompts.

    Args:
        scores: length -> score.
        path: where the picture goes.
        title: what was asked.
        chance: percent that the most frequent answer would be right.
    """
    # Matplotlib takes a second to import, which only a picture is worth.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.6), layout="constrained")
    axes = figure.subplots()
    places = range(len(scores))
    values = [score.value for score in scores.values()]
    widths = [_interval(score) for score in scores.values()]
    axes.errorbar(places, values, widths, marker="o", ms=4, capsize=2, color="#d55e00")
    axes.axhline(chance, ls=":", lw=1, color="#555555", label="the most frequent answer")
    axes.set_xticks(places, [_short(length) for length in scores])
    axes.set_ylim(-4, 104)
    axes.set_xlabel("tokens of the prompt; 0K: the facts alone")
    axes.set_ylabel("accuracy (%)")
    axes.set_title(title)
    axes.grid(alpha=0.25)
    axes.legend(fontsize=7, frameon=False)
    figure.savefig(path, dpi=120, metadata={"Software": None})


def _interval(score: Score) -> float:
    """Half of it, with one hit and one miss added, so that no 0 or 100% is certain."""
    prompts = score.counts["prompts"]
    share = (score.value / 100 * prompts + 1) / (prompts + 2)
    return float(196 * (share * (1 - share) / prompts) ** 0.5)


def _short(length: int) -> str:
    for size, letter in ((2**20, "M"), (2**10, "K")):
        if length >= size and length % size == 0:
            return f"{length // size}{letter}"
    return str(length) if length else "0K"
