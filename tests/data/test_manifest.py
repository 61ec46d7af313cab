"""Any folder of shards: its manifest is read as written, and no damaged shard is used."""

import hashlib
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.manifest import Manifest, Shard, verify

FOLDERS = count()
COUNT = st.integers(0, 2**40)
TEXT = st.text(st.characters(), max_size=9)
KNOWN = st.dictionaries(TEXT, TEXT | COUNT | st.none() | st.floats(0, 1), max_size=3)
SHARDS = st.builds(
    Shard,
    file=TEXT,
    part=st.sampled_from(["train", "validation"]),
    documents=COUNT,
    tokens=COUNT,
    words=COUNT,
    bytes=COUNT,
    sha256=TEXT,
)
MANIFESTS = st.builds(
    Manifest,
    corpus=KNOWN,
    name=TEXT,
    tokenizer=KNOWN,
    end=COUNT,
    settings=KNOWN,
    groups=st.lists(st.lists(SHARDS, max_size=2), max_size=2),
    read=st.lists(COUNT, max_size=2),
    complete=st.booleans(),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shards")


@settings(max_examples=50)
@given(manifest=MANIFESTS)
def test_reads_back_what_was_written(manifest: Manifest, folder: Path) -> None:
    manifest.write(folder)
    assert Manifest.load(folder) == manifest


@settings(max_examples=50)
@given(manifest=MANIFESTS, data=st.data())
def test_a_manifest_that_was_cut_is_refused_by_name(
    manifest: Manifest, data: st.DataObject, folder: Path
) -> None:
    manifest.write(folder)
    path = folder / "manifest.json"
    content = path.read_bytes()
    path.write_bytes(content[: data.draw(st.integers(0, len(content) - 2))])
    with pytest.raises(ValueError, match=r"manifest\.json is damaged .*remove the folder"):
        Manifest.load(folder)


@settings(max_examples=50)
@given(tokens=st.binary(min_size=1).map(lambda half: half + half), data=st.data())
def test_a_shard_that_was_cut_or_altered_is_refused_by_name(
    tokens: bytes, data: st.DataObject, folder: Path
) -> None:
    # A digest is computed once for each file.
    path = folder / f"{next(FOLDERS)}.bin"
    sha256 = hashlib.sha256(tokens).hexdigest()
    shard = Shard(path.name, "train", 1, len(tokens) // 2, 1, 1, sha256)
    place = data.draw(st.integers(0, len(tokens) - 1))
    altered = bytes([tokens[place] ^ data.draw(st.integers(1, 255))])
    damaged = data.draw(
        st.sampled_from([tokens[:place], tokens[:place] + altered + tokens[place + 1 :]])
    )
    path.write_bytes(damaged)
    with pytest.raises(ValueError, match=rf"{path.name} .*remove the folder"):
        verify(folder, shard)
