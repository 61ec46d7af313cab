"""RULER's needle prompts as lm-eval presents them, and RULER's score."""

import hashlib
import io
import json
import logging
import zipfile
import zlib
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from transformers import PreTrainedTokenizerFast

from data.generator import generate
from data.store import cache_folder, write_atomically
from data.words import KINDS

log = logging.getLogger(__name__)


class Prompt(NamedTuple):
    """A text that ends where the answer begins, and the strings a right answer contains."""

    tokens: list[int]
    answers: list[str]
    needle: str
    length: int
    depth: float


def present(
    sample: dict[str, Any], needle: str, length: int, tokenizer: PreTrainedTokenizerFast
) -> Prompt:
    """Join a sample as lm-eval does for a `generate_until` request."""
    text = f"{sample['input']} {sample['gen_prefix']}"
    depth = text.index(sample["outputs"][0]) / len(text)
    return Prompt(tokenizer(text).input_ids, sample["outputs"], needle, length, depth)


def fingerprint(tokenizer: PreTrainedTokenizerFast, **choices: object) -> str:
    """Digest all that prompts depend on."""
    packages = {name: version(name) for name in ("lm_eval", "nltk", "wonderwords")}
    parts = {"tokenizer": tokenizer.backend_tokenizer.to_str(), **packages, **choices}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def pack(prompts: list[Prompt]) -> bytes:
    """Put prompts into one compressed file's bytes."""
    tokens = np.concatenate([np.asarray(prompt.tokens, np.int32) for prompt in prompts])
    sizes = np.asarray([len(prompt.tokens) for prompt in prompts])
    rest = json.dumps([prompt[1:] for prompt in prompts])
    buffer = io.BytesIO()
    np.savez_compressed(buffer, tokens=tokens, sizes=sizes, rest=np.asarray(rest))
    return buffer.getvalue()


def unpack(path: Path) -> list[Prompt]:
    """Read what `pack` wrote."""
    with path.open("rb") as file, np.load(file) as arrays:
        pieces = np.split(arrays["tokens"], np.cumsum(arrays["sizes"])[:-1])
        rest = json.loads(arrays["rest"].item())
    return [Prompt(piece.tolist(), *row) for piece, row in zip(pieces, rest, strict=True)]


def evaluation_prompts(
    needle: str,
    length: int,
    count: int,
    tokenizer: PreTrainedTokenizerFast,
    prose: str = "",
    seed: int = 0,
) -> list[Prompt]:
    """Return `count` prompts of RULER's task `needle` at `length` tokens.

    As in RULER, `length` bounds the text and 128 tokens of answer; the answer's first words, which
    lm-eval puts after the question, are not counted. Prompts are kept in the cache folder.
    """
    if needle not in KINDS:
        raise ValueError(f"{needle} is none of the needles {', '.join(KINDS)}.")
    prose = "" if needle == "niah_single_1" else prose
    key = fingerprint(
        tokenizer, needle=needle, length=length, count=count, prose=prose, seed=seed, form=1
    )
    path = cache_folder() / "needle" / f"{needle}-{length}-{count}-{key}.npz"
    try:
        return unpack(path)
    except FileNotFoundError:
        log.info("%s: making %d prompts of %d tokens", needle, count, length)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        log.warning("%s is damaged (%s) and is made again", path.name, error)
    samples = generate(needle, length, count, tokenizer, prose, seed)
    prompts = [present(sample, needle, length, tokenizer) for sample in samples]
    try:
        write_atomically(path, pack(prompts))
    except OSError as error:
        log.warning("the prompts are not kept: %s", error)
    return prompts


def score(output: str, answers: list[str]) -> float:
    """Return the share of `answers` that `output` contains, by RULER's own match."""
    from lm_eval.tasks.ruler.common_utils import postprocess_pred, string_match_all

    return float(string_match_all(postprocess_pred([output]), [answers]))
