"""Corpora in files: what is read of them, and which line is at fault."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data.text_files import PLAIN_DOCUMENT, TextFiles


def written(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def lines(*rows: object) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def test_a_line_of_jsonl_is_a_document(tmp_path: Path) -> None:
    path = written(tmp_path, "a.jsonl", lines({"text": "one"}, {"text": " "}, {"text": "two\n2"}))
    files = TextFiles(path)
    assert list(files.documents()) == ["one", "two\n2"]
    assert list(files.documents(skip=1)) == ["two\n2"]
    assert files.name == "a"


def test_a_row_of_parquet_is_a_document(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"body": ["one", "two"], "n": [1, 2]}), path)
    assert list(TextFiles(path, "body").documents()) == ["one", "two"]


def test_plain_text_is_cut_between_paragraphs(tmp_path: Path) -> None:
    paragraph = "word " * 500 + "\n\n"
    path = written(tmp_path, "a.txt", paragraph * 40)
    documents = list(TextFiles(path).documents())
    assert "".join(documents) == paragraph * 40
    assert len(documents) == 5
    assert all(document.endswith("\n\n") for document in documents)


def test_text_without_paragraphs_is_cut_between_lines(tmp_path: Path) -> None:
    path = written(tmp_path, "a.txt", ("word " * 20 + "\n") * 1000)
    sizes = [len(document) for document in TextFiles(path).documents()]
    assert max(sizes) < 2 * PLAIN_DOCUMENT + 200
    assert len(sizes) == 3


def test_a_folder_is_read_in_the_order_of_names(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    written(tmp_path / "sub", "b.jsonl", lines({"text": "b"}))
    written(tmp_path, "c.txt", "c")
    written(tmp_path, "a.jsonl", lines({"text": "a"}))
    written(tmp_path, "notes.md", "not read")
    assert list(TextFiles(tmp_path).documents()) == ["a", "c", "b"]


@pytest.mark.fault("a data file with a BOM", "read without it")
def test_a_mark_of_utf8_is_no_text(tmp_path: Path) -> None:
    path = written(tmp_path, "a.jsonl", b"\xef\xbb\xbf" + lines({"text": "one"}).encode())
    assert list(TextFiles(path).documents()) == ["one"]


@pytest.mark.fault("a corpus that changed since its manifest", "tokenised anew")
def test_a_changed_file_is_another_corpus(tmp_path: Path) -> None:
    path = written(tmp_path, "a.txt", "one")
    before = TextFiles(path).description
    written(tmp_path, "a.txt", "other")
    assert TextFiles(path).description != before


@pytest.mark.fault(
    "a data file that is empty, truncated or of another encoding", "refused by name and line"
)
@pytest.mark.parametrize(
    ("name", "content", "named"),
    [
        ("a.jsonl", lines({"text": "one"}) + '{"text": "two"', ["line 2", "JSON"]),
        ("a.jsonl", lines({"text": "one"}, {"body": "x"}), ["line 2", "'body'", "task.column"]),
        ("a.jsonl", lines({"text": "one"}, ["x"]), ["line 2", '{"text": ...}']),
        ("a.jsonl", lines({"text": None}), ["line 1", "NoneType"]),
        ("a.jsonl", b'{"text": "\xe9"}\n', ["line 1", "UTF-8", "0xe9"]),
        ("a.txt", b"one\n" + b"caf\xe9\n", ["line 2", "UTF-8", "0xe9"]),
        ("a.txt", "one".encode("utf-16"), ["line 1", "UTF-16", "byte-order mark"]),
        ("a.txt", "one".encode("utf-16-le"), ["line 1", "NUL", "UTF-16"]),
        ("a.txt", "one".encode("utf-32"), ["line 1", "UTF-32", "byte-order mark"]),
        ("a.jsonl", lines({"text": "one"}).encode("utf-16"), ["line 1", "UTF-16", "make it"]),
        ("a.txt", "", ["no text"]),
        ("a.jsonl", "\n\n", ["no text"]),
        ("a.parquet", b"PAR1", ["parquet"]),
    ],
)
def test_what_is_wrong_is_said_with_its_place(
    tmp_path: Path, name: str, content: str | bytes, named: list[str]
) -> None:
    path = written(tmp_path, name, content)
    with pytest.raises(ValueError, match=r"a\.(txt|jsonl|parquet)") as refused:
        list(TextFiles(path).documents())
    assert all(part in str(refused.value) for part in [str(path), *named]), refused.value


def test_parquet_without_the_column_names_those_it_has(tmp_path: Path) -> None:
    pq.write_table(pa.table({"body": ["one"]}), tmp_path / "a.parquet")
    with pytest.raises(ValueError, match=r"a\.parquet: no column 'text' among 'body'"):
        list(TextFiles(tmp_path / "a.parquet").documents())


def test_parquet_without_a_text_names_the_row(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["one", None]}), tmp_path / "a.parquet")
    with pytest.raises(ValueError, match=r"a\.parquet, row 2"):
        list(TextFiles(tmp_path / "a.parquet").documents())


@pytest.mark.fault("a missing data file", "refused, with what to set")
@pytest.mark.parametrize("name", ["nothing.jsonl", "notes.md", "."])
def test_nothing_to_read_is_refused(tmp_path: Path, name: str) -> None:
    written(tmp_path, "notes.md", "not read")
    with pytest.raises(FileNotFoundError, match=r"task\.corpus"):
        TextFiles(tmp_path / name)
