"""A command that has ended, and a text that language models are trained on in a test."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from experiments.record import Record

WORDS = ["the", "tide", "goes", "out", "and", "comes", "in", "under", "moon", "again"]


@dataclass(frozen=True)
class Ended:
    """What a command said, and the folder it wrote into."""

    code: int
    said: str
    folder: Path

    @property
    def record(self) -> Record:
        (path,) = self.folder.glob("records/*.json")
        return Record.read(path)

    @property
    def state(self) -> dict[str, torch.Tensor]:
        return torch.load(self.folder / "run" / "last.ckpt", weights_only=True)


def write_tides(folder: Path, documents: int) -> Path:
    """Documents of 20 to 89 words by chance."""
    rng = np.random.default_rng(0)
    path = folder / "tides.jsonl"
    with path.open("w") as file:
        for size in rng.integers(20, 90, size=documents):
            file.write(json.dumps({"text": " ".join(rng.choice(WORDS, size=size))}) + "\n")
    return path
