"""The small byte-level tokenizer of the needle experiments; run as a module to rebuild it."""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, cast

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from data import haystack, words

FOLDER = Path(__file__).parent / "samples" / "tokenizer"
SIZE = 2048
END = "<|endoftext|>"
# The fixed sentences recur in every prompt: this many copies make each of their words one piece.
COPIES = 500


def load_tokenizer(path: str | Path = FOLDER) -> PreTrainedTokenizerFast:
    """Load a tokenizer folder as `transformers` saves it, without a network.

    Raises:
        FileNotFoundError: there is none.
        ValueError: its `tokenizer.json` is damaged.
    """
    folder = Path(path)
    if not (folder / "tokenizer.json").is_file():
        raise FileNotFoundError(
            f"There is no tokenizer.json in {folder}: set task.tokenizer to a folder that has one, "
            "or rebuild ours with python -m data.tokenizer."
        )
    # What is loaded below does not say which file it could not read.
    read_tokenizer(folder / "tokenizer.json")
    return cast(
        PreTrainedTokenizerFast,
        PreTrainedTokenizerFast.from_pretrained(str(folder), local_files_only=True),
    )


def read_tokenizer(path: Path) -> Tokenizer:
    """Read a `tokenizer.json`.

    Raises:
        ValueError: it is none, or damaged.
    """
    try:
        return Tokenizer.from_file(str(path))
    # The library raises bare exceptions.
    except Exception as error:
        raise ValueError(
            f"{path} is no tokenizer.json, or damaged ({error}): get it again, or set "
            "task.tokenizer to another"
        ) from error


def corpus(prose: str) -> Iterator[str]:
    """Yield what the pieces are learned from: prompts, keys, and prose for everything else."""
    for kind in ("number", "uuid"):
        parts = (words.opening(kind), words.needle(kind, "", ""), words.question(kind, ""))
        yield from ("\n".join([haystack.NOISE, *parts]),) * COPIES
    for word in words.adjectives() + words.nouns():
        yield f" {word}-{word}"
    yield prose


def build(prose: str, size: int = SIZE) -> Tokenizer:
    """Learn the tokenizer of the needle experiments."""
    return learn(corpus(prose), size)


def learn(texts: Iterable[str], size: int) -> Tokenizer:
    """Learn a byte-level BPE whose digits always stand alone."""
    tokenizer = Tokenizer(models.BPE())
    # Without this a number's pieces would depend on its neighbours, and a copy on luck.
    digits = pre_tokenizers.Digits(individual_digits=True)
    bytes_ = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, bytes_])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=[END],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def save(tokenizer: Tokenizer, folder: Path) -> None:
    """Save in the form that `AutoTokenizer` loads."""
    untyped: Any = PreTrainedTokenizerFast
    fast = untyped(
        tokenizer_object=tokenizer,
        eos_token=END,
        pad_token=END,
        clean_up_tokenization_spaces=False,
    )
    fast.save_pretrained(str(folder))


def main(folder: Path) -> None:
    """Rebuild the tokenizer from RULER's words and the half of the essays that trains."""
    essays = haystack.essays()
    save(build(essays[len(essays) // 2 :]), folder)
    print(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
