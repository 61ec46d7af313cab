"""Which faults a run of the tests has caused, what was to come of each, and whether it did."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator

Case = tuple[str, str, str]
HEAD = ("fault", "outcome", "tests")


def lines(cases: Iterable[Case]) -> Iterator[str]:
    """A row for each fault and outcome, in alphabetical order; none where there is no case.

    Args:
        cases: of each test what it makes happen, the outcome that it expects, and how it ended:
            `passed`, `failed`, `error` or `skipped`.
    """
    found: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for fault, outcome, ended in cases:
        found[fault, outcome][ended] += 1
    rows = [(*key, told(ended)) for key, ended in sorted(found.items())]
    widths = [max(map(len, column)) for column in zip(HEAD, *rows, strict=True)]
    for row in [HEAD, *rows] if rows else []:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()


def told(ended: Counter[str]) -> str:
    """How the tests of a fault ended, the worst first."""
    order = ["failed", "error", "passed", "skipped"]
    return ", ".join(f"{ended[kind]} {kind}" for kind in order if ended[kind])
