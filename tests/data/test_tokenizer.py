"""The shipped tokenizer: lossless, and the same pieces for a value wherever it stands."""

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from data import words
from data.subword import load_subwords
from data.tokenizer import END, FOLDER, SIZE, build, load_tokenizer, save

TOKENIZER = load_tokenizer()


@given(st.text(st.characters(codec="utf-8")))
def test_any_text_comes_back(text: str) -> None:
    assert TOKENIZER.decode(TOKENIZER.encode(text)) == text


@pytest.mark.parametrize("kind", ["number", "uuid"])
def test_value_has_the_same_tokens_in_needle_and_answer(kind: str) -> None:
    rng = random.Random(0)
    for _ in range(200):
        value = words.value(kind, rng)
        tokens = TOKENIZER.encode(f" {value}.")
        hidden = TOKENIZER.encode(words.needle(kind, "apple-pear", value))
        answered = TOKENIZER.encode(f"{words.question(kind, 'apple-pear')} {value}.")
        assert hidden[-len(tokens) :] == answered[-len(tokens) :] == tokens


def test_size_and_end() -> None:
    assert len(TOKENIZER) == SIZE
    assert (TOKENIZER.eos_token, TOKENIZER.eos_token_id) == (END, 0)


def test_auto_tokenizer_loads_it_offline() -> None:
    auto = AutoTokenizer.from_pretrained(str(FOLDER), local_files_only=True)
    assert auto.encode("The grass is green. 42") == TOKENIZER.encode("The grass is green. 42")


def test_rebuilding_is_deterministic(tmp_path: Path) -> None:
    prose = "Some other prose, which is short. " * 10
    for name in ("one", "two"):
        save(build(prose, size=400), tmp_path / name)
    first, second = (tmp_path / name / "tokenizer.json" for name in ("one", "two"))
    assert first.read_bytes() == second.read_bytes()


def test_missing_folder_says_what_to_set(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"task\.tokenizer"):
        load_tokenizer(tmp_path / "nowhere")


@pytest.mark.fault("a damaged tokenizer", "refused by name")
@pytest.mark.parametrize("load", [load_tokenizer, load_subwords])
def test_a_damaged_folder_is_refused_by_its_file(
    tmp_path: Path, load: Callable[[str], object]
) -> None:
    folder = shutil.copytree(FOLDER, tmp_path / "copy")
    path = folder / "tokenizer.json"
    path.write_bytes(path.read_bytes()[:-9000])
    with pytest.raises(ValueError, match=rf"{path} is no tokenizer\.json.*: get it again, or set"):
        load(str(folder))
