"""What a table of the paper consists of: numbers, remarks on them, and what is claimed of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import yaml

CONF = Path(__file__).parents[1] / "conf"
VERDICTS = ("holds", "does not hold", "open", "not testable here")


@dataclass(frozen=True, eq=False)
class Cell:
    """One printed number, or one that is ours alone.

    Attributes:
        labels: Column of paper.csv to what stands in it.
        paper: The number as printed; not a number where the paper has none.
        scores: Scores of a record whose mean is ours; usually one.
        run: Overrides of the run that fills the cell; empty where no run of ours can.
        name: What the score is called, a mean by a name of its own.
    """

    labels: Mapping[str, str]
    paper: float
    scores: tuple[str, ...]
    run: Mapping[str, str]
    name: str = ""

    def runnable(self, conf: Path = CONF) -> bool:
        """Whether there is a run and `conf` has every option that it names."""
        groups = {group: option for group, option in self.run.items() if "." not in group}
        return bool(groups) and all((conf / g / f"{o}.yaml").exists() for g, o in groups.items())

    def steps(self, conf: Path = CONF) -> int | None:
        """How many steps its task trains by `conf`; None where other settings decide."""
        return _steps(conf / "task" / f"{self.run.get('task')}.yaml")


@lru_cache
def _steps(task: Path) -> int | None:
    """What a task's file says of its steps, where that is a number."""
    content = yaml.safe_load(task.read_text(encoding="utf-8")) if task.exists() else None
    made = (content or {}).get("steps")
    return made if isinstance(made, int) else None


def command(run: Mapping[str, str]) -> str:
    """What to type for a run with these overrides."""
    return " ".join(["python run.py", *(f"{k}={v}" for k, v in run.items()), "seed=0"])


@dataclass(frozen=True)
class Note:
    """A remark on the cells that carry the labels `at`; on the whole table where it is empty."""

    text: str
    at: Mapping[str, str]

    def about(self, cell: Cell) -> bool:
        """Whether the remark is on this cell."""
        return bool(self.at) and self.at.items() <= cell.labels.items()


@dataclass(frozen=True)
class Claim:
    """What the paper says of its numbers, what ours say of it, and one of VERDICTS."""

    claim: str
    evidence: str
    verdict: str
