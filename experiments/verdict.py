"""Whether ours differs from a printed number by more than ours is known to."""

from collections.abc import Sequence
from math import isfinite, sqrt
from statistics import fmean

from experiments.block import Score
from experiments.cell import Cell
from experiments.record import Record
from experiments.table import Table

# 97.5% points of Student's t for 1, 2, … degrees of freedom; of the normal law beyond them.
STUDENT = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23)
NORMAL = 1.96


def verdict(table: Table, cell: Cell, score: Score) -> str:
    """One word or two on ours beside the paper's number; empty where there is none to compare.

    Returns:
        `within` where the difference is no larger than `uncertainty`, else `better` or `worse`;
        `one seed` where nothing says how sure ours is; `not finite` where a seed diverged.
    """
    arrow = table.arrow(table.column(cell))
    if not isfinite(cell.paper) or not arrow:
        return ""
    if not isfinite(score.mean):
        return "not finite"
    width = uncertainty(table, cell, score)
    if width is None:
        return "one seed"
    gap = score.mean - cell.paper
    if abs(gap) <= width:
        return "within"
    return "better" if (gap > 0) == (arrow == "↑") else "worse"


def uncertainty(table: Table, cell: Cell, score: Score) -> float | None:
    """Half the width of a 95% interval of our mean, and half a digit of the printed number.

    Seeds count by Student's t; an accuracy counts the prompts of one seed too, by the binomial
    law, as all seeds may be asked the same ones. The paper states no spread of its own.

    Returns:
        In the unit of the cell; None for one seed of what is no accuracy over known prompts.
    """
    count, deviation = len(score.values), score.deviation
    factor = STUDENT[count - 2] if 1 < count < len(STUDENT) + 2 else NORMAL
    seeds = None if deviation is None else factor * deviation / sqrt(count)
    prompts = _of_prompts(cell, score.runs) if _is_accuracy(table, cell) else None
    if seeds is None and prompts is None:
        return None
    return sqrt((seeds or 0) ** 2 + (prompts or 0) ** 2) + 0.5 * 10.0**-table.decimals


def _is_accuracy(table: Table, cell: Cell) -> bool:
    return "%" in table.unit and table.arrow(table.column(cell)) == "↑"


def _of_prompts(cell: Cell, runs: Sequence[Sequence[Record]]) -> float | None:
    """Half a 95% interval, in percent, of the mean of a seed's scores; None without counts."""
    variances = [[_variance(record, s) for record in seed for s in cell.scores] for seed in runs]
    if not all(all(seed) for seed in variances) or not variances:
        return None
    means = [sum(v or 0.0 for v in seed) / len(seed) ** 2 for seed in variances]
    return NORMAL * 100 * sqrt(fmean(means))


def _variance(record: Record, score: str) -> float | None:
    """Of a share of prompts; with one hit and one miss added, so that no 0 or 100% is certain."""
    prompts, percent = record.counts.get(f"prompts/{score}"), record.scores.get(score)
    if not prompts or percent is None:
        return None
    share = (percent / 100 * prompts + 1) / (prompts + 2)
    return share * (1 - share) / prompts
