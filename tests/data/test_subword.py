"""Tokenizers: what is learned, what is loaded, and what cannot be."""

import os
from pathlib import Path

import pytest

from data.subword import LLAMA, LLAMA_FILE, learn_subwords, load_subwords
from data.tokenizer import FOLDER

TEXTS = ["the tide comes in and the tide goes out, 1984 times", "naïve </s> \U0001f30a\n\n  x"]
LLAMA_HERE = Path(os.environ.get("TITANS_DATA", "/nowhere")) / LLAMA_FILE


def test_learned_pieces_lose_nothing() -> None:
    subwords = learn_subwords(TEXTS * 20, 300)
    assert subwords.size <= 300
    encoded = subwords.encode(TEXTS)
    assert [subwords.tokenizer.decode(ids) for ids in encoded] == TEXTS
    assert all(subwords.end not in ids for ids in encoded)


def test_learning_is_a_function_of_the_text() -> None:
    one, same, other = (learn_subwords(t, 300) for t in (TEXTS, TEXTS, TEXTS[:1]))
    assert one.sha256 == same.sha256 != other.sha256


def test_a_saved_tokenizer_is_the_same(tmp_path: Path) -> None:
    subwords = learn_subwords(TEXTS, 300)
    subwords.save(tmp_path / "tokenizer.json")
    loaded = load_subwords(str(tmp_path / "tokenizer.json"))
    assert (loaded.sha256, loaded.end) == (subwords.sha256, subwords.end)


def test_a_folder_is_loaded() -> None:
    subwords = load_subwords(str(FOLDER))
    assert (subwords.size, subwords.end) == (2048, 0)


@pytest.mark.skipif(not LLAMA_HERE.is_file(), reason="TITANS_DATA has no Llama-2 vocabulary")
def test_llama_2_from_its_own_file() -> None:
    subwords = load_subwords(LLAMA)
    assert (subwords.size, subwords.end) == (32000, 2)
    # As its authors' tokenizer has them.
    assert subwords.encode(["Hello world"]) == [[15043, 3186]]
    assert load_subwords(str(LLAMA_HERE)).sha256 == subwords.sha256


@pytest.mark.fault("an unreachable hub", "refused, with what to set")
def test_what_is_not_there_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(name: str, *, trust_remote_code: bool) -> None:
        assert not trust_remote_code
        raise OSError("no connection\nand much more")

    monkeypatch.setattr("data.subword.AutoTokenizer.from_pretrained", load)
    monkeypatch.delenv("TITANS_DATA", raising=False)
    with pytest.raises(FileNotFoundError, match=r"no connection\).*task\.tokenizer=null"):
        load_subwords("someone/no-such-tokenizer")


@pytest.mark.fault("a damaged tokenizer", "refused by name")
@pytest.mark.parametrize(("name", "said"), [("a.json", "tokenizer.json"), ("a.model", "Sentence")])
def test_a_damaged_file_is_named(tmp_path: Path, name: str, said: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"\xff\xff not a tokenizer")
    with pytest.raises(ValueError, match=f"{name} is no {said}"):
        load_subwords(str(path))
