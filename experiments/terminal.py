"""Grids on a terminal: what is too wide for it stands in parts, one below the other."""

import re
import sys
from collections.abc import Iterator

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from experiments.page import Grid

# A row's names may be wrapped to this; its numbers never are.
NAMES = 32
# What the frame takes around a column.
FRAME = 3


def draw(grid: Grid) -> None:
    """Prints a grid with its title and its remarks."""
    say(grid.title)
    console = _console()
    for columns in _parts(grid, console.width):
        console.print(_table(grid, columns), markup=False)
    for remark in grid.remarks:
        say(remark)
    print()


def say(text: str) -> None:
    """Prints a text, wrapped between words where it is wider than the terminal."""
    _console().print(text, markup=False, emoji=False)


def _console() -> Console:
    # A pipe has no width: nothing may be cut there.
    return Console(width=None if sys.stdout.isatty() else 10_000, highlight=False)


def _parts(grid: Grid, width: int) -> Iterator[list[int]]:
    """The columns of each part: the names of the rows, and as many others as fit beside them."""
    columns = list(zip(_headings(grid), *grid.lines, strict=True))
    sizes = [max(len(line) for text in column for line in text.split("\n")) for column in columns]
    names = list(range(grid.labels))
    room = width - sum(min(sizes[name], NAMES) + FRAME for name in names) - 1
    part, used = names, 0
    for index in range(grid.labels, len(columns)):
        if used and used + sizes[index] + FRAME > room:
            yield part
            part, used = names, 0
        part, used = [*part, index], used + sizes[index] + FRAME
    yield part


def _headings(grid: Grid) -> list[str]:
    """Each word on a line of its own, the arrow beside the last."""
    numbers = (re.sub(r" (?![↑↓])", "\n", name) for name in grid.header[grid.labels :])
    return [*grid.header[: grid.labels], *numbers]


def _table(grid: Grid, columns: list[int]) -> Table:
    table = Table(box=SIMPLE)
    headings = _headings(grid)
    for index in columns:
        if index < grid.labels:
            table.add_column(headings[index], overflow="fold")
        else:
            table.add_column(headings[index], justify="right", no_wrap=True)
    grouped = len({line[0] for line in grid.lines}) < len(grid.lines)
    previous = grid.lines[0][0] if grid.lines else ""
    for line in grid.lines:
        if grouped and line[0] != previous:
            table.add_section()
        previous = line[0]
        table.add_row(*(line[index] for index in columns))
    return table
