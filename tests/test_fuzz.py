"""Settings by chance: a command runs, or is refused in a paragraph; see `tests.fuzz`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MANY, TIMES = 500, 4


@pytest.mark.fault("wrong settings by chance", "refused in a paragraph, or accepted")
@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("first", [MANY * number for number in range(TIMES)])
def test_no_command_ends_with_a_traceback(tmp_path: Path, first: int) -> None:
    """In a process without the checks of types, which only tests have."""
    quiet = {"OMP_NUM_THREADS": "1", "WANDB_MODE": "disabled", "HF_HUB_OFFLINE": "1"}
    place = {"TITANS_CACHE": str(tmp_path / "cache"), "PYTHONPATH": str(ROOT), "COLUMNS": "200"}
    numbers = [str(tmp_path), f"--first={first}", f"--count={MANY}"]
    kept = {name: value for name, value in os.environ.items() if name != "TITANS_DATA"}
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", *numbers],
        cwd=ROOT,
        env=kept | quiet | place,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
