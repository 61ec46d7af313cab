"""Scores against length as lines to draw: the geometry of the page's pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import floor, isfinite, log2, log10
from typing import NamedTuple

from experiments.block import Score
from experiments.cell import Cell
from experiments.compare import Comparison
from experiments.plot import Panel, axis, labels, lines, names, panels, short
from experiments.table import Table

WIDTH, HEIGHT = 420, 240
LEFT, RIGHT, TOP, BOTTOM = 46, 404, 10, 210
# What the labels of two lengths need so as not to touch.
APART = 32
# As many as the stylesheet has colours; what comes after them repeats these with squares.
COLORS = 10

Ticks = list[tuple[float, str]]


class Point(NamedTuple):
    """A score: its place, the ends of its spread over seeds, and what it says."""

    x: float
    y: float
    top: float
    bottom: float
    text: str


@dataclass(frozen=True)
class Line:
    """The scores of one model in one place; `index` is its place in the legend."""

    index: int
    ours: bool
    points: list[Point]

    @property
    def path(self) -> str:
        """The corners of the line, as SVG writes them."""
        return " ".join(f"{point.x:.1f},{point.y:.1f}" for point in self.points)


class Chart(NamedTuple):
    """One pair of axes."""

    title: str
    lines: list[Line]
    x_ticks: Ticks
    y_ticks: Ticks


class Picture(NamedTuple):
    """Charts side by side, with the names of their lines and what is against what."""

    axes: str
    legend: list[str]
    charts: list[Chart]


def picture(comparison: Comparison) -> Picture | None:
    """The scores of a table against the length; None where it has no such axis."""
    table = comparison.table
    if table.columns != ("length",):
        return None
    shown = [
        Panel(
            " ".join(it.title.split()), [_numeric(ours) for ours in it.ours], _numeric(it.printed)
        )
        for it in panels(comparison)
    ]
    legend = names(table, shown)
    measured = (cell for it in shown for scores in it.ours for cell in scores)
    places = {cell.labels["length"] for cell in (*table.cells, *measured)}
    lengths = sorted(float(place) for place in places if place.isdigit())
    axes = f"{axis(table)} by length in tokens"
    return Picture(axes, legend, [_chart(table, panel, legend, lengths) for panel in shown])


def _numeric(scores: Mapping[Cell, Score]) -> dict[Cell, Score]:
    """Without the columns that are no length, such as a mean over all of them."""
    return {cell: score for cell, score in scores.items() if cell.labels["length"].isdigit()}


def _chart(table: Table, panel: Panel, legend: Sequence[str], lengths: Sequence[float]) -> Chart:
    found = [(True, *item) for ours in panel.ours for item in lines(table, ours).items()]
    found += [(False, *item) for item in lines(table, panel.printed).items() if item[0] in legend]
    ends = [y + sign * d for *_, points in found for _, y, d in points for sign in (-1, 1)]
    low, high = _range(table, [end for end in ends if isfinite(end)])

    def x(length: float) -> float:
        share = (log2(length) - log2(lengths[0])) / (log2(lengths[-1] / lengths[0]) or 1)
        return LEFT + 10 + share * (RIGHT - LEFT - 20)

    def y(value: float) -> float:
        return BOTTOM - (min(max(value, low), high) - low) / (high - low) * (BOTTOM - TOP)

    # Spreads of many models at one length are told apart a little to the left and right of it.
    step = 3.0 if any(d > 0 for *_, points in found for _, _, d in points) else 0.0

    def point(name: str, length: float, value: float, spread: float) -> Point:
        aside = step * (legend.index(name) - (len(legend) - 1) / 2)
        deviation = f" ± {spread:.{table.decimals}f}" if spread else ""
        text = f"{name}, {short(length)}: {value:.{table.decimals}f}{deviation}"
        return Point(x(length) + aside, y(value), y(value + spread), y(value - spread), text)

    drawn = [
        Line(legend.index(name), ours, [point(name, *p) for p in points if isfinite(p[1])])
        for ours, name, points in found
    ]
    octaves = APART / (RIGHT - LEFT - 20) * log2(lengths[-1] / lengths[0])
    written = zip(map(x, lengths), labels(lengths, octaves), strict=True)
    # The paper's lines lie under ours.
    return Chart(
        panel.title,
        sorted(drawn, key=lambda line: line.ours),
        [(place, label) for place, label in written if label],
        [(y(tick), f"{tick:g}") for tick in _ticks(low, high)],
    )


def _range(table: Table, values: Sequence[float]) -> tuple[float, float]:
    """Percents from 0 to 100, what should be high from 0, what should be low around itself."""
    if table.unit == "%":
        return 0.0, 100.0
    low, high = min(values, default=0.0), max(values, default=1.0)
    margin = 0.06 * (high - low) or 1.0
    return (0.0 if table.higher_is_better is True else low - margin), high + margin


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers, at most eight: 1, 2 or 5 times a power of ten apart."""
    rough = (high - low) / 7
    power = 10.0 ** floor(log10(rough))
    step = next(power * digit for digit in (1, 2, 5, 10) if power * digit >= rough * 0.999)
    first = -floor(-low / step)
    return [round(i * step, 10) for i in range(first, floor(high / step) + 1)]
