"""A short run of the command line and its losses to the last digit: the same in every run.

`python -m tests.smoke` takes seconds, and no network.
"""

import csv
import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

ROOT = Path(__file__).parents[1]
COMMAND = [
    *("model=mac", "task=niah", "seed=1", "task.steps=40", "task.data.tokens_per_batch=256"),
    *("task.data.least_prompts=1", "task.objective.warmup=5", "task.lengths=[512]"),
    "task.prompts={niah_single_1: 2, niah_single_2: 0, niah_single_3: 0}",
    # No prose, so no network.
    *("task.needles.niah_single_2=0.0", "hardware=cpu", "hardware.threads=1", "logger=csv"),
]


def run(folder: Path) -> Iterator[str]:
    """Yields the step and the loss, as often as they are logged, and a digest of the weights.

    Raises:
        SystemExit: the command failed; it said why.
    """
    places = [f"hydra.run.dir={folder}/run", f"records={folder}/records"]
    done = subprocess.run(
        [sys.executable, "run.py", *COMMAND, *places],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        check=False,
    )
    if done.returncode:
        sys.exit(done.returncode)
    with (folder / "run/csv/version_0/metrics.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["train/loss"]:
                yield f"step {row['step']:>3}  loss {row['train/loss']}"
    weights = torch.load(folder / "run/last.ckpt", weights_only=True)["state_dict"]
    digest = hashlib.sha256()
    for weight in weights.values():
        digest.update(weight.numpy().tobytes())
    yield f"weights {digest.hexdigest()}"


def main() -> None:
    """Prints them."""
    with TemporaryDirectory() as folder:
        for line in run(Path(folder)):
            print(line)


if __name__ == "__main__":
    main()
