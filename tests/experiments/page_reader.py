"""Reads a page of HTML into tables and tags, as strictly as a test needs."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

Attributes = dict[str, str]
Tag = tuple[str, Attributes]

VOID = {"meta", "link", "input", "br", "wbr"}


@dataclass
class Cell:
    """A `td`: the row's headings, what it says and the tags in it."""

    labels: list[str]
    text: str = ""
    tags: list[Tag] = field(default_factory=list)


@dataclass
class Table:
    """A table in the section `section`; rows are the texts of those that have cells."""

    section: str
    caption: str = ""
    headings: list[Attributes] = field(default_factory=list)
    cells: list[Cell] = field(default_factory=list)
    rows: list[str] = field(default_factory=list)


@dataclass
class Page:
    """What a page holds; `text` is what a reader may see, tooltips included."""

    source: str
    text: str
    tags: list[Tag]
    all_tables: list[Table]

    def tables(self, section: str) -> list[Table]:
        return [table for table in self.all_tables if table.section == section]

    def by_class(self, name: str) -> list[Attributes]:
        return [a for _, a in self.tags if name in a.get("class", "").split()]


def read(source: str) -> Page:
    """Parses a page.

    Raises:
        ValueError: a tag is closed that was not the last one opened, or stays open.
    """
    reader = _Reader()
    reader.feed(source)
    reader.close()
    if reader.open:
        raise ValueError(f"not closed: {reader.open}")
    return Page(source, reader.text, reader.tags, reader.all_tables)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text, self.section = "", ""
        self.tags: list[Tag] = []
        self.all_tables: list[Table] = []
        self.labels: list[str] = []
        self.row, self.before = "", 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {key: value or "" for key, value in attrs}
        self.tags.append((tag, attributes))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "section":
            self.section = attributes.get("id", "")
        elif tag == "table":
            self.all_tables.append(Table(self.section))
        elif tag == "tr":
            self.labels, self.row, self.before = [], "", len(self.all_tables[-1].cells)
        elif tag == "th":
            self.labels.append("")
            self.all_tables[-1].headings.append(attributes)
        elif tag == "td":
            self.all_tables[-1].cells.append(Cell(list(self.labels)))
        elif "td" in self.open:
            self.all_tables[-1].cells[-1].tags.append((tag, attributes))

    def handle_endtag(self, tag: str) -> None:
        if self.open.pop() != tag:
            raise ValueError(f"</{tag}> closes another tag at {self.getpos()}")
        if tag == "tr" and len(self.all_tables[-1].cells) > self.before:
            self.all_tables[-1].rows.append(self.row)

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("script", "style"):
            return
        self.text += data
        self.row += data
        if "caption" in self.open:
            self.all_tables[-1].caption += data
        elif "td" in self.open:
            self.all_tables[-1].cells[-1].text += data
        elif "th" in self.open:
            self.labels[-1] += data
