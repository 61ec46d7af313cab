"""What is measured, what is missing, and the command for it: `python -m experiments`."""

import argparse
import signal
import sys
from collections.abc import Sequence
from io import TextIOWrapper
from pathlib import Path

from experiments.compare import Comparison, compare
from experiments.front import front
from experiments.page import Grid, grids, left_out
from experiments.record import Record, read_all
from experiments.report import markdown, write_report
from experiments.table import HERE, TableError, load, names
from experiments.terminal import draw, say

# Commands of one table that the list of all tables shows before it points to the rest.
SHOWN = 8
COLUMNS = (
    "printed: numbers of the paper; ours: how many of them are measured at its scale; reduced: "
    "measured at a smaller one, in tables of their own; to run: what runs could still fill. The "
    "last two count rows of ours, too, that the paper does not have."
)
PAGES = "the start of a table's name; `report` rewrites the pages, `dashboard` lays them out on W&B"


def main(arguments: Sequence[str] | None = None) -> int:
    """Answer one command line.

    Returns:
        The exit status: 0, 1 for a dashboard that is not saved, or 2 for a table that is unknown
        or cannot be read.
    """
    options = _parser().parse_args(arguments)
    # A pipe may have an encoding without ±; a question mark is better than a traceback.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")
    records, warnings = read_all(options.records)
    for warning in warnings:
        print(warning, file=sys.stderr)
    try:
        return _answer(options, records, warnings)
    except TableError as error:
        print(error, file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m experiments", description=__doc__)
    add = parser.add_argument
    add("table", nargs="?", help=PAGES)
    add("--commands", action="store_true", help="print only the commands for what is missing")
    add("--edition", choices=["v1", "camera-ready"], help="version of the paper to show")
    add("--records", type=Path, default=HERE / "records", metavar="DIR", help="where records are")
    add("--project", default="titans", help="project on W&B of the dashboard")
    add("--entity", help="whose project that is; by default the key's owner")
    return parser


def _answer(options: argparse.Namespace, records: Sequence[Record], warnings: Sequence[str]) -> int:
    found = names() if options.table in (None, "report", "dashboard") else [_find(options.table)]
    tables = [compare(load(HERE / name, options.edition), records) for name in found]
    if options.table == "report":
        _report(tables, records, warnings)
    elif options.table == "dashboard":
        return _dashboard(tables, options.project, options.entity)
    elif options.commands:
        commands = (command for comparison in tables for command in comparison.commands())
        for command in dict.fromkeys(commands):
            print(command)
    elif options.table is None:
        _list(tables)
    else:
        _show(tables[0])
    return 0


def _dashboard(tables: Sequence[Comparison], project: str, entity: str | None) -> int:
    # W&B takes seconds to import, which no other answer needs.
    try:
        from experiments.dashboard import save
    except ModuleNotFoundError as error:
        print(f"{error}: pip install -e '.[wandb-ui]'", file=sys.stderr)
        return 1
    return save(tables, project, entity)


def _report(
    tables: Sequence[Comparison], records: Sequence[Record], warnings: Sequence[str]
) -> None:
    from experiments.html import PAGE, write_page

    write_page(PAGE, tables, records, warnings)
    print(f"wrote {PAGE.relative_to(HERE.parent)}")
    if write_report(HERE.parent / "README.md", front(tables, records)):
        print("rewrote README.md")
    for it in tables:
        changed = write_report(HERE / it.table.name / "README.md", markdown(it))
        if changed:
            print(f"rewrote experiments/{it.table.name}/README.md")
        picture = HERE / it.table.name / it.table.picture
        drawable = it.table.picture and (it.paper.scores or it.reduced)
        # The README holds the numbers that are drawn: where they stay, so does the picture.
        if drawable and (changed or not picture.exists()):
            _draw_picture(it, picture)


def _draw_picture(comparison: Comparison, path: Path) -> None:
    # Matplotlib takes a second to import, which only a picture is worth.
    from experiments.plot import draw

    draw(comparison, path)
    print(f"drew {path.relative_to(HERE.parent)}")


def _find(start: str) -> str:
    known = names()
    found = [name for name in known if name == start] or [n for n in known if n.startswith(start)]
    if len(found) == 1:
        return found[0]
    problem = "is more than one table" if found else "is no table"
    raise TableError(f"{start!r} {problem}; known: {', '.join(known)}")


def _list(tables: Sequence[Comparison]) -> None:
    header = ["table", "title", "printed", "ours", "reduced", "to run"]
    lines = []
    for it in tables:
        counts = (len(it.table.cells), len(it.paper.scores), it.apart(), len(it.missing()))
        lines.append([it.table.name, it.table.title, *map(str, counts)])
    draw(Grid("The paper's tables and figures", header, lines, [COLUMNS], labels=2))
    for it in tables:
        _commands(it, SHOWN)


def _show(comparison: Comparison) -> None:
    for grid in grids(comparison):
        draw(grid)
    for line in left_out(comparison):
        say(line + "\n")
    _commands(comparison)
    waiting = sum(not cell.runnable() for cell in comparison.missing())
    if waiting:
        print(f"{waiting} missing numbers need options that conf/ does not have yet")


def _commands(comparison: Comparison, most: int | None = None) -> None:
    commands = comparison.commands()
    if not commands:
        return
    print(f"Missing in {comparison.table.name}:")
    for command in commands[:most]:
        print(f"  {command}")
    if most is not None and len(commands) > most:
        print(f"  and {len(commands) - most} more: python -m experiments {comparison.table.name}")
    print()


if __name__ == "__main__":
    # Windows has no SIGPIPE; elsewhere `| head` should end the program quietly.
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    sys.exit(main())
