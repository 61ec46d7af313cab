"""`python -m experiments` answers anywhere: no heavy import, nothing cut in a pipe."""

import subprocess
import sys
from pathlib import Path

import pytest

from experiments.table import HERE, names

HEAVY = "torch lightning titans data hydra omegaconf"
PROBE = f"""
import runpy, sys
sys.argv[0] = "experiments"
try:
    runpy.run_module("experiments", run_name="__main__")
finally:
    print("heavy:", [name for name in {HEAVY!r}.split() if name in sys.modules])
"""


def ask(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Answer of a fresh interpreter, through a pipe."""
    command = [sys.executable, "-c", PROBE, *arguments]
    return subprocess.run(command, cwd=HERE.parent, capture_output=True, text=True)


def test_the_list_names_every_table_and_imports_nothing_heavy(tmp_path: Path) -> None:
    answer = ask("--records", str(tmp_path))
    assert answer.returncode == 0
    assert all(name in answer.stdout for name in names())
    assert "heavy: []" in answer.stdout
    assert "\x1b" not in answer.stdout


@pytest.mark.parametrize("start", ["table1", "figure6"])
def test_the_start_of_a_name_is_enough_and_nothing_is_cut(start: str, tmp_path: Path) -> None:
    answer = ask(start, "--records", str(tmp_path))
    assert answer.returncode == 0
    assert "…" not in answer.stdout


@pytest.mark.parametrize("unknown", ["table9", "table"])
def test_an_unknown_table_is_one_line_that_names_the_known(unknown: str) -> None:
    answer = ask(unknown)
    assert answer.returncode == 2
    assert len(answer.stderr.splitlines()) == 1
    assert all(name in answer.stderr for name in names())


def test_a_broken_record_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_text("{")
    answer = ask("table2", "--records", str(tmp_path))
    assert answer.returncode == 0
    assert "broken.json" in answer.stderr


def test_commands_are_all_that_is_printed(tmp_path: Path) -> None:
    lines = ask("table2", "--commands", "--records", str(tmp_path)).stdout.splitlines()[:-1]
    assert all(line.startswith("python run.py model=") for line in lines)
