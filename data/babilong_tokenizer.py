"""The small tokenizer of BABILong; run as a module to rebuild it."""

import sys
from collections.abc import Iterator
from pathlib import Path

from data.babi import KINDS
from data.babi_simulation import simulate
from data.background import HELD_OUT
from data.english import English
from data.shards import training_part
from data.tokenizer import learn, save

FOLDER = Path(__file__).parent / "samples" / "babilong" / "tokenizer"
SIZE = 2048
# Of each task. Each word of a fact is one piece, as it recurs this often.
STORIES = 1000
# Characters of English, for everything else.
ENGLISH = 3_000_000


def corpus() -> Iterator[str]:
    """Yield stories as they are asked, and the half of the English that trains."""
    for task in KINDS:
        for facts, question, answer in simulate(task, "train", STORIES):
            yield f" {' '.join(facts)} {question} Answer: {answer}"
    left = ENGLISH
    for text in training_part(English(), HELD_OUT):
        yield text[:left]
        left -= len(text)
        if left <= 0:
            return


def main(folder: Path) -> None:
    """Rebuild the tokenizer from simulated stories and the English that packages ship."""
    save(learn(corpus(), SIZE), folder)
    print(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
