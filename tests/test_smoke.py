"""`make smoke` says the same twice."""

from pathlib import Path

import pytest

from tests import smoke


@pytest.mark.slow
def test_the_same_losses_to_the_last_digit(tmp_path: Path) -> None:
    first, second = (list(smoke.run(tmp_path / name)) for name in ("first", "second"))
    assert first == second
    assert len(first) == 5
    losses = [float(line.rpartition(" ")[2]) for line in first[:-1]]
    assert losses[-1] < losses[0]
