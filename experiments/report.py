"""The tables as Markdown, in the generated block of a README."""

from collections.abc import Sequence
from pathlib import Path

from experiments.cell import CONF
from experiments.compare import Comparison
from experiments.page import Grid, grids, left_out
from experiments.table import TableError

OPEN, CLOSE = "<!-- generated -->", "<!-- /generated -->"


def write_report(readme: Path, generated: str) -> bool:
    """Rewrite the generated block of a README; the words around it stay.

    Returns:
        Whether the page changed.

    Raises:
        TableError: If the README or its markers are missing.
    """
    try:
        before, after = readme.read_text(encoding="utf-8"), ""
        head, _, rest = before.partition(OPEN)
        _, marker, after = rest.partition(CLOSE)
    except OSError as error:
        raise TableError(str(error)) from error
    if not marker:
        raise TableError(f"{readme}: no block between {OPEN} and {CLOSE}")
    page = f"{head}{OPEN}\n{generated}\n{CLOSE}{after}"
    if page != before:
        readme.write_text(page, encoding="utf-8")
    return page != before


def markdown(comparison: Comparison, conf: Path = CONF) -> str:
    """The claims and grids of a comparison, what they leave out, and the missing commands."""
    blocks = [_claims(comparison)] if comparison.table.claims else []
    blocks += [markdown_of(grid) for grid in grids(comparison)]
    blocks += left_out(comparison)
    commands = comparison.commands(conf)
    if commands:
        blocks.append("Missing:\n\n```sh\n" + "\n".join(commands) + "\n```")
    return "\n\n".join(blocks)


def _claims(comparison: Comparison) -> str:
    said = [[it.claim, it.evidence, it.verdict] for it in comparison.table.claims]
    return "\n".join(map(_line, [["the paper says", "ours", "verdict"], ["---"] * 3, *said]))


def markdown_of(grid: Grid) -> str:
    """A grid under its title, with its remarks."""
    lines = [_line(grid.header), _line(["---"] * len(grid.header)), *map(_line, grid.lines)]
    return "\n\n".join([f"**{grid.title}**", "\n".join(lines), *grid.remarks])


def _line(texts: Sequence[str]) -> str:
    return "| " + " | ".join(text.replace("|", "\\|") for text in texts) + " |"
