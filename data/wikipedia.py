"""Articles of the English Wikipedia of 2016 that a package has among its tests, as prose."""

import bz2
import html
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from data.packages import Package

PACKAGE = Package(
    "pip",
    "gensim==4.4.0",
    "91a7fa5e814e7b1bad4b2dffa8d62c1e55410d5cbdf930714c1997ffb4404db8",
)
MEMBER = (
    "gensim/test/test_data/enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2"
)
SPACE = "{http://www.mediawiki.org/xml/export-0.10/}"
# Sections that are lists of links and sources.
LISTS = "References|External links|See also|Further reading|Notes|Bibliography|Sources|Footnotes"

# What goes, in this order; each is taken out until there is none left, since they nest.
INNERMOST = [
    re.compile(r"\{\{[^{}]*\}\}"),
    re.compile(r"\{\|[^{}]*?\|\}", re.DOTALL),
]
GONE = [
    re.compile(r"<!--.*?-->", re.DOTALL),
    re.compile(r"<ref[^>]*?/>"),
    re.compile(r"<(ref|math|gallery|table|timeline|imagemap|source)\b[^>]*>.*?</\1>", re.DOTALL),
    re.compile(rf"^=+ *(?:{LISTS}) *=+ *$.*?(?=^==[^=]|\Z)", re.DOTALL | re.MULTILINE),
]
MEDIA = re.compile(
    r"\[\[(?:File|Image|Category|[a-z-]{2,12}):(?:[^\[\]]|\[\[[^\[\]]*\]\])*\]\]", re.I
)
LINK = re.compile(r"\[\[(?:[^\[\]|]*\|)?([^\[\]|]*)\]\]")
OUTSIDE = re.compile(r"\[(?:https?:|//)\S+ ?([^\]]*)\]")


def documents() -> Iterator[str]:
    """Yield the articles in their order."""
    return unpack(PACKAGE.fetch())


def unpack(wheel: Path) -> Iterator[str]:
    """Yield the articles of the dump inside the wheel; redirects and other pages are none."""
    with zipfile.ZipFile(wheel) as archive:
        dump = bz2.decompress(archive.read(MEMBER))
    for page in ElementTree.fromstring(dump).iter(f"{SPACE}page"):
        if page.findtext(f"{SPACE}ns") == "0" and page.find(f"{SPACE}redirect") is None:
            title = page.findtext(f"{SPACE}title") or ""
            markup = page.findtext(f"{SPACE}revision/{SPACE}text") or ""
            yield f"{title}\n\n{prose(markup)}"


def prose(markup: str) -> str:
    """Return what a reader reads: no templates, tables, pictures, sources or lists of links."""
    for pattern in GONE:
        markup = pattern.sub("", markup)
    for pattern in INNERMOST:
        found = 1
        while found:
            markup, found = pattern.subn("", markup)
    markup = MEDIA.sub("", markup)
    markup = OUTSIDE.sub(r"\1", LINK.sub(r"\1", markup))
    markup = re.sub(r"<[^<>]*>|'{2,}|__[A-Z]+__", "", markup)
    markup = re.sub(r"^=+ *(.*?) *=+ *$", r"\1", markup, flags=re.MULTILINE)
    markup = re.sub(r"^[*#:;]+ *", "", markup, flags=re.MULTILINE)
    markup = html.unescape(html.unescape(markup)).replace("\xa0", " ")
    markup = re.sub(r"\( *[,;]? *\)|[ \t]+(?=\n|$)", "", markup)
    return re.sub(r"\n{3,}", "\n\n", re.sub(r"[ \t]{2,}", " ", markup)).strip()
