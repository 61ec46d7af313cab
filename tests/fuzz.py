"""Commands by chance: each runs for a step or is refused in a paragraph, without a traceback.

`python -m tests.fuzz FOLDER --first 0 --count 60` tries so many; one number is always one command.
"""

import argparse
import importlib
import logging
import os
import resource
import shlex
import signal
import sys
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from hydra.core.global_hydra import GlobalHydra

import run
from data.generator import import_generator
from tests.drawn import PLAIN, ROOT, draw
from tests.ended import WORDS

# Of a processor, after which a command counts as accepted; of memory, in bytes.
SECONDS, MEMORY = 10.0, 12 * 2**30
# A refusal of ours has no more lines, some of them OmegaConf's.
LINES = 4


class LateError(BaseException):
    """The time is over; nothing in the project is to catch it."""


class Outcome(logging.Handler):
    """What became of one command."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.code: int | str | None = 0
        self.said, self.refusal = StringIO(), ""

    def emit(self, record: logging.LogRecord) -> None:
        """Keeps what was said of an error."""
        self.refusal = record.getMessage()

    @property
    def fault(self) -> str:
        """What is wrong with it; empty where nothing is."""
        said = self.said.getvalue()
        if "Traceback" in said or '  File "' in said:
            return "a traceback"
        if self.code in (0, "late"):
            return ""
        if self.code not in (1, 2):
            return f"exit status {self.code}"
        if not said.strip():
            return "refused without a word"
        return "more than a paragraph" if self.refusal.count("\n") >= LINES else ""


def attempt(command: list[str], folder: Path) -> Outcome:
    """Runs a command in this process as `run.py` does, but for a step and a score alone."""
    outcome, whole = Outcome(), run.run
    logging.getLogger("titans").addHandler(outcome)
    places = [
        f"--config-path={ROOT}/conf",
        f"hydra.run.dir={folder}/run",
        f"records={folder}/records",
    ]
    sys.argv = ["run.py", *places, *command]
    GlobalHydra.instance().clear()

    def briefly(config: Any, task: Any, data: Any, evaluations: Any, trainer: Any) -> Any:
        if trainer.strategy.launcher is not None or trainer.world_size > 1:
            sys.exit(0)
        if not hasattr(task, "best_error"):
            trainer.fit_loop.epoch_loop.max_steps = min(trainer.max_steps, 1)
        first = {k: e and (lambda task, e=e: islice(e(task), 1)) for k, e in evaluations.items()}
        return whole(config, task, data, first, trainer)

    run.run = briefly
    try:
        with redirect_stdout(outcome.said), redirect_stderr(outcome.said), within(SECONDS):
            run.main()
    except SystemExit as error:
        outcome.code = error.code or 0
    except LateError:
        outcome.code = "late"
    except Exception:
        outcome.said.write(traceback.format_exc())
    finally:
        run.run = whole
        logging.getLogger("titans").removeHandler(outcome)
    return outcome


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Ends what takes longer."""

    def end(*_: object) -> None:
        raise LateError

    signal.signal(signal.SIGPROF, end)
    # Again and again, since Python drops what is raised while an object is deleted.
    signal.setitimer(signal.ITIMER_PROF, seconds, 1)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def dropped(error: Any) -> None:
    """What Python says of an error that it dropped; of ours, nothing."""
    if error.exc_type is not LateError:
        sys.__unraisablehook__(error)


def main() -> None:
    """Tries commands; exits with status 1 where one of them has a fault."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=60)
    chosen = parser.parse_args()
    os.chdir(chosen.folder)
    rng = np.random.default_rng(0)
    Path("tides.jsonl").write_text("\n".join(
        f'{{"text": "The {" ".join(rng.choice(WORDS, size=9))}. It comes in."}}' for _ in range(300)
    ))  # fmt: skip
    Path("words.fa").write_text(
        f">one\n{''.join(rng.choice(['ACGTTG', 'TTGACC', 'CATNAC'], 1700))}\n"
    )
    # What is larger than that is refused as it would be by a machine.
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    sys.unraisablehook = dropped
    # What takes seconds to import is not a command's time.
    import_generator()
    importlib.import_module("titans.evals.harness")
    outcomes: Counter[str] = Counter()
    for number in range(chosen.first, chosen.first + chosen.count):
        command = draw(number)
        outcome = attempt(command, Path(f"command{number}").absolute())
        refused = outcome.code not in (0, "late")
        wrong = "nothing is wrong with it" if refused and number % PLAIN == 0 else ""
        if fault := outcome.fault or wrong:
            said = outcome.said.getvalue()[-3000:]
            print(
                f"\n{number}: {fault}: python run.py {shlex.join(command)}\n{said}",
                flush=True,
            )
        kind = "refused" if refused else "late" if outcome.code else "accepted"
        outcomes["faults" if fault else kind] += 1
    print(", ".join(f"{count} {kind}" for kind, count in outcomes.items()))
    sys.exit(bool(outcomes["faults"]))


if __name__ == "__main__":
    main()
