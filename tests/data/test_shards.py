"""Shards: the same bytes however often their making was interrupted, and none that is damaged."""

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from shutil import rmtree

import numpy as np
import pytest

from data.manifest import FILE, Manifest
from data.shards import part_of
from data.text import TOKENIZER, Text

ROOT = Path(__file__).parents[2]
# Kills itself with the sign that nobody can catch, when the shard of that number is to be written.
KILLED = """
import os, signal, sys
from data import shards
from data.text import Text
write = shards._Pending.write
def fatal(self, folder, part, number):
    if (number, part) == (int(sys.argv[2]), sys.argv[3]):
        (folder / f".train-{number:05d}.bin.1").write_bytes(b"half of a sh")
        os.kill(os.getpid(), signal.SIGKILL)
    return write(self, folder, part, number)
shards._Pending.write = fatal
Text(sys.argv[1], vocabulary=300, held_out=0.3, shard_tokens=1000).manifest
"""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TITANS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    words = ["tide", "moon", "harbour", "</s>", "<|endoftext|>", "naïve", "shore", "\U0001f30a"]
    path = tmp_path / "tides.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for size in rng.integers(3, 40, size=900):
            file.write(json.dumps({"text": " ".join(rng.choice(words, size=size))}) + "\n")
    return path


def text(corpus: Path, **settings: object) -> Text:
    return Text(
        str(corpus), **{"vocabulary": 300, "held_out": 0.3, "shard_tokens": 1000} | settings
    )


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != ".lock"}


def test_the_shards_are_the_text(corpus: Path) -> None:
    it = text(corpus)
    manifest = it.manifest
    texts = [json.loads(line)["text"] for line in corpus.read_text().splitlines()]
    assert len(manifest.shards("train")) > 3
    for part in ("train", "validation"):
        ours = [t for t in texts if part_of(t, 0.3) == part]
        stream = it.stream(part)
        tokens = stream.read(0, len(stream))
        documents = np.split(tokens, np.flatnonzero(tokens == it.end) + 1)[:-1]
        decoded = [it._learned().tokenizer.decode(d[:-1].tolist()) for d in documents]
        assert decoded == ours
        shards = manifest.shards(part)
        assert sum(s.documents for s in shards) == len(ours)
        assert sum(s.words for s in shards) == sum(len(t.split()) for t in ours)
        assert sum(s.bytes for s in shards) == sum(len(t.encode()) for t in ours)


def test_an_ending_that_a_document_spells_does_not_end_it(corpus: Path) -> None:
    it = text(corpus)
    held_out = it.held_out_documents()
    assert all((document == it.end).sum() == 1 for document in held_out.documents)
    assert len(held_out.documents) == sum(s.documents for s in it.manifest.shards("validation"))


def test_the_manifest_says_where_all_of_it_came_from(corpus: Path) -> None:
    it = text(corpus)
    manifest = json.loads((it.folder / FILE).read_text()) if it.manifest else {}
    assert manifest["complete"]
    assert manifest["corpus"]["path"] == str(corpus)
    assert len(manifest["tokenizer"]["sha256"]) == 64
    assert {"tokens", "sha256", "documents"} <= manifest["groups"][0][0].keys()


def test_a_second_use_reads_no_text(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = text(corpus).manifest
    monkeypatch.setattr("data.text_files.TextFiles.documents", None)
    assert text(corpus).manifest == first


def test_the_same_text_gives_the_same_pieces(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = text(corpus)
    first = one.manifest and contents(one.folder)
    monkeypatch.setenv("TITANS_CACHE", str(tmp_path / "other"))
    other = text(corpus)
    assert other.manifest
    assert contents(other.folder) == first


@pytest.mark.fault("kill -9 while a corpus is tokenised", "goes on to the same bytes")
@pytest.mark.parametrize(("number", "part"), [(0, "train"), (2, "train"), (2, "validation")])
def test_killed_and_resumed_gives_the_same_bytes(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, part: str
) -> None:
    undisturbed = text(corpus)
    expected = undisturbed.manifest and contents(undisturbed.folder)
    monkeypatch.setenv("TITANS_CACHE", str(tmp_path / "killed"))
    arguments = [sys.executable, "-c", KILLED, str(corpus), str(number), part]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(arguments, env=environment, cwd=ROOT, capture_output=True, timeout=120)
    assert done.returncode == -signal.SIGKILL, done.stderr
    resumed = text(corpus)
    kept = sorted(resumed.folder.glob("train-*.bin"))
    assert len(kept) == number + (part == "validation")
    times = [path.stat().st_mtime_ns for path in kept[:number]]
    assert resumed.manifest == undisturbed.manifest
    assert contents(resumed.folder) == expected
    assert [path.stat().st_mtime_ns for path in kept[:number]] == times


@pytest.mark.fault("no space for shards", "said with a mend, what is whole is kept")
def test_a_full_disk_is_said_and_what_is_whole_is_kept(
    corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, other = Path.write_bytes, text(corpus)
    expected = other.manifest and contents(other.folder)
    rmtree(other.folder)

    def full(path: Path, content: bytes) -> int:
        if path.name.startswith(".validation-00001.bin"):
            write(path, content[:9])
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return write(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        said = r"no room in .*tides-\w+ for validation-00001\.bin: make room, or set TITANS_CACHE"
        with pytest.raises(OSError, match=said):
            assert text(corpus).manifest
    left = Manifest.load(other.folder)
    assert len(left.groups) == 1
    assert not left.complete
    assert not [path for path in other.folder.iterdir() if path.name.startswith(".val")]
    assert text(corpus).manifest == other.manifest
    assert contents(other.folder) == expected


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-2])


def alter(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[10] ^= 1
    path.write_bytes(content)


@pytest.mark.fault("a shard that changed since its manifest", "refused by name, nothing is trained")
@pytest.mark.parametrize(
    ("damage", "said"), [(truncate, "bytes"), (alter, "altered"), (Path.unlink, "missing")]
)
@pytest.mark.parametrize("name", ["train-00001.bin", "validation-00000.bin"])
def test_a_damaged_shard_is_refused_by_name(
    corpus: Path, damage: object, said: str, name: str
) -> None:
    it = text(corpus)
    assert it.manifest
    damage(it.folder / name)  # type: ignore[operator]
    with pytest.raises(ValueError, match=f"{name} .*{said}.*remove the folder"):
        assert text(corpus).manifest


@pytest.mark.fault("a shard that changed since its manifest", "refused by name, nothing is trained")
@pytest.mark.parametrize("name", [FILE, TOKENIZER])
def test_a_damaged_description_is_refused_by_name(corpus: Path, name: str) -> None:
    it = text(corpus)
    assert it.manifest
    truncate(it.folder / name)
    with pytest.raises(ValueError, match=f"{name} .*remove the folder"):
        assert text(corpus).manifest


def test_no_more_of_a_corpus_is_taken_than_is_asked_for(corpus: Path) -> None:
    some = text(corpus, most_tokens=2500).manifest
    assert 2500 <= some.tokens("train") < text(corpus).manifest.tokens("train")
    assert some.complete


def test_a_corpus_without_a_held_out_document_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "short.txt"
    path.write_text("one document alone")
    with pytest.raises(ValueError, match=r"none is in the (train|validation) part.*task\.held_out"):
        assert text(path).manifest


def test_which_documents_are_held_out_is_in_them_alone() -> None:
    texts = [f"document {number}" for number in range(4000)]
    held_out = [t for t in texts if part_of(t, 0.1) == "validation"]
    assert 300 < len(held_out) < 500
    # A larger share holds out the same ones, and more.
    assert all(part_of(t, 0.2) == "validation" for t in held_out)


def test_a_manifest_is_read_as_it_was_written(corpus: Path) -> None:
    it = text(corpus)
    made = it.manifest
    assert Manifest.load(it.folder) == made
