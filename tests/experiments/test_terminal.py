"""A grid that is wider than the terminal stands in parts, and nothing of it is cut."""

import pytest
from rich.console import Console

from experiments import terminal
from experiments.page import Grid

COLUMNS = [f"set{n} acc ↑" for n in range(9)]
LINES = [[f"a model {row}", *(f"{row}{n}.25 ± 1.50 (3)" for n in range(9))] for row in (1, 2)]


@pytest.mark.parametrize("width", [40, 60, 1000])
def test_a_wide_grid_is_drawn_in_parts(
    width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terminal, "_console", lambda: Console(width=width))
    terminal.draw(Grid("A title", ["model", *COLUMNS], LINES, ["A remark, " * 9]))
    said = capsys.readouterr().out
    assert max(map(len, said.splitlines())) <= width
    assert all(said.count(text) == 1 for line in LINES for text in line[1:])
    parts = said.count("a model 1")
    assert parts == {40: 9, 60: 5, 1000: 1}[width]
