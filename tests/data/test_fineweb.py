"""A data set of the hub, streamed; a local file stands for it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
import pytest

from data.fineweb import HubDocuments
from data.text import Text

NAME = "someone/some-text"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the hub was asked for; its rows have the columns `text` and `score`."""
    path = tmp_path / "rows.jsonl"
    rows = [{"text": f"document {n}\n" * (1 + n % 7), "score": n} for n in range(300)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    asked: dict[str, Any] = {}
    real = datasets.load_dataset

    def load(repository: str, subset: str, **settings: Any) -> Any:
        asked.update(settings, repository=repository, subset=subset)
        return real("json", data_files=str(path), split="train", streaming=True)

    monkeypatch.setattr("data.fineweb.load_dataset", load)
    monkeypatch.setenv("TITANS_CACHE", str(tmp_path / "cache"))
    return asked


def documents(column: str = "text") -> HubDocuments:
    return HubDocuments(NAME, subset="sample-10BT", revision="abc", column=column)


def test_rows_are_streamed_from_the_pinned_revision(hub: dict[str, Any]) -> None:
    texts = list(documents().documents())
    assert len(texts) == 300
    assert texts[8] == "document 8\n" * 2
    assert (hub["repository"], hub["subset"]) == (NAME, "sample-10BT")
    assert (hub["revision"], hub["streaming"]) == ("abc", True)
    assert list(documents().documents(skip=290)) == texts[290:]


@pytest.mark.usefixtures("hub")
def test_it_is_tokenised_as_any_corpus() -> None:
    text = Text(NAME, vocabulary=300, revision="abc", shard_tokens=2000)
    assert text.manifest.corpus["revision"] == "abc"
    assert text.name == "some-text-sample-10BT"
    assert len(text.manifest.shards("train")) > 1


@pytest.mark.usefixtures("hub")
def test_a_column_that_is_not_there_is_named() -> None:
    with pytest.raises(ValueError, match=r"'body'.*text"):
        list(documents("body").documents())


@pytest.mark.fault("an unreachable hub", "refused, with what to set")
def test_what_the_hub_does_not_have_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(*_: Any, **__: Any) -> Any:
        raise ConnectionError("no such thing\nand much more")

    monkeypatch.setattr("data.fineweb.load_dataset", load)
    with pytest.raises(FileNotFoundError, match=r"someone/some-text.*no such thing.*english"):
        list(documents().documents())


@pytest.mark.fault("a hub whose connection breaks", "refused; the same command goes on")
def test_a_connection_that_breaks_ends_no_corpus(monkeypatch: pytest.MonkeyPatch) -> None:
    class Breaking:
        column_names = None

        def __iter__(self) -> Iterator[dict[str, str]]:
            yield {"text": "one"}
            raise TimeoutError("no answer\nand much more")

    monkeypatch.setattr("data.fineweb.load_dataset", lambda *_, **__: Breaking())
    found = documents().documents()
    assert next(found) == "one"
    with pytest.raises(ConnectionError, match=r"some-text broke off.*no answer.*same command"):
        next(found)
