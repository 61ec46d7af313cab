"""The page: whole, escaped, self-contained, quick, and true to what may stand beside the paper."""

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from experiments.cell import CONF
from experiments.compare import compare
from experiments.html import render
from experiments.record import Record, read_all
from experiments.runs import one_a_run
from experiments.table import HERE, load, names
from tests.experiments.page_reader import Page, read

EVIL = "<script>alert('&')</script>"


def language(scale: str = "400m", *extra: str, seed: int = 0, ppl: float = 31.0) -> Record:
    """A record of MAC on the language task."""
    return Record(
        choices={"model": "mac", "task": "commonsense", "experiment": "language", "scale": scale},
        overrides=["model=mac", "task=commonsense", f"scale={scale}", *extra],
        seed=seed,
        scores={"wikitext/ppl": ppl, "lambada/ppl": ppl + 2},
        counts={"tokens": 1000},
        commit="0123456789abcdef",
        machine={"processor": "Xeon", "cores": 8},
        started="2026-01-01T00:00:00+00:00",
        seconds=1800,
    )


def page(*records: Record, warnings: tuple[str, ...] = (), conf: Path = CONF) -> Page:
    tables = [compare(load(HERE / name), records) for name in names()]
    return read(render(tables, records, list(warnings), conf))


def test_without_records_every_printed_number_is_there() -> None:
    found = page()
    for name in names():
        table = load(HERE / name)
        (sheet,) = found.tables(name)
        shown = sorted(cell.text.split(",")[0] for cell in sheet.cells if cell.text)
        assert len(shown) == len(table.cells) > 0
    assert "0 runs" in found.text
    assert not found.by_class("open") or "data-runs" not in str(found.by_class("open"))


def test_tables_are_for_screen_readers_too() -> None:
    found = page(language(), language("tiny"))
    assert found.all_tables
    for table in found.all_tables:
        assert table.caption
        assert {heading["scope"] for heading in table.headings} <= {"col", "row", "rowgroup"}
        assert all(h["aria-sort"] == "none" for h in table.headings if h["scope"] == "col")
    ids = [a["id"] for _, a in found.tags if "id" in a]
    assert len(ids) == len(set(ids))
    links = {a["href"][1:] for tag, a in found.tags if tag == "a" and a["href"].startswith("#")}
    assert links <= set(ids)


def test_nothing_is_fetched() -> None:
    found = page(language())
    sources = [a[key] for _, a in found.tags for key in ("src", "href", "action") if key in a]
    assert all(source.startswith(("#", "data:")) for source in sources)
    assert not re.search(r"url\(|@import|fetch\(|XMLHttp", found.source)
    policies = [a["content"] for tag, a in found.tags if tag == "meta" and "content" in a]
    assert any(policy.startswith("default-src 'none'") for policy in policies)


def test_ours_at_the_papers_scale_stands_in_its_cell_with_the_verdict() -> None:
    found = page(language(), language(seed=1, ppl=31.2))
    paper, *rest = found.tables("table5_ablation")
    assert not rest
    cell = next(cell for cell in paper.cells if cell.labels[-1] == "MAC" and cell.text)
    assert re.sub(r"\s+", " ", cell.text) == "26.6732.10 ± 0.14 (2)+5.43 worse"
    (button,) = [a for tag, a in cell.tags if tag == "button"]
    digests = [language().digest[:12], language(seed=1, ppl=31.2).digest[:12]]
    assert sorted(button["data-runs"].split()) == sorted(digests)
    assert button["data-seeds"] == "seed 0: 32.00, seed 1: 32.20"


def test_every_claim_has_its_evidence_and_a_verdict() -> None:
    claims = [(load(HERE / name), it) for name in names() for it in load(HERE / name).claims]
    (table,) = page().tables("claims")
    assert len(table.rows) == len(claims) > 5
    for row, (of, it) in zip(table.rows, claims, strict=True):
        assert all(text in row for text in (it.claim, it.evidence, it.verdict))
        assert of.title.partition(":")[0] in row


def test_every_run_behind_a_number_tells_where_it_comes_from() -> None:
    found = page(language())
    runs = {a["id"]: a for _, a in found.tags if a.get("id", "").startswith("run-")}
    buttons = [a for a in found.by_class("open") if "data-runs" in a]
    assert buttons
    assert all(f"run-{d}" in runs for a in buttons for d in a["data-runs"].split())
    (row,) = found.tables("runs")[0].rows
    for fact in ("4.00", "0123456789abcdef", "Xeon, 8 cores", language().file_name):
        assert fact in row
    assert "python run.py model=mac task=commonsense scale=400m" in row


def test_reduced_scale_stands_apart_with_its_budget() -> None:
    paper, reduced = page(language("tiny")).tables("table1_language")
    assert all("31" not in cell.text or "±" not in cell.text for cell in paper.cells)
    assert not [cell for cell in paper.cells if any("data-runs" in a for _, a in cell.tags)]
    assert "tiny, 1,000 tokens" in reduced.caption
    # Columns without a number of ours are left out.
    assert [cell.text for cell in reduced.cells] == ["31.00 (1)", "33.00 (1)"]


def test_a_changed_recipe_fills_no_cell_and_is_named() -> None:
    found = page(language("400m", "optimizer.lr=1"))
    assert not [a for a in found.by_class("open") if "data-runs" in a]
    assert "Changed recipes, not shown (1): mac with optimizer.lr=1" in found.text


def test_text_of_records_is_escaped() -> None:
    evil = replace(
        language(),
        overrides=[f"model={EVIL}", f"x={EVIL}"],
        choices={
            "model": "mac",
            "task": "commonsense",
            "experiment": "language",
            "scale": "400m",
            "hardware": EVIL,
        },
        commit=EVIL,
        machine={"processor": EVIL},
        status="failed",
        error=EVIL,
    )
    changed = language("tiny", f"x={EVIL}", seed=3)
    found = page(evil, changed, warnings=(f"skipped {EVIL}",))
    assert [tag for tag, _ in found.tags].count("script") == 1
    assert EVIL not in found.source
    assert found.text.count("alert(") >= 5


def test_what_is_no_record_is_named_on_the_page_and_fills_nothing(tmp_path: Path) -> None:
    good = language().write(tmp_path)
    tampered = good.read_text().replace("31.0", "1.0")
    good.unlink()
    for name, text in (("tampered", tampered), ("cut", tampered[:99]), ("foreign", "{}")):
        (tmp_path / f"{name}.json").write_text(text)
    records, warnings = read_all(tmp_path)
    found = page(*records, warnings=tuple(warnings))
    assert all(f"{name}.json" in found.text for name in ("tampered", "cut", "foreign"))
    assert "3 files left out" in found.text
    assert not [a for a in found.by_class("open") if "data-runs" in a]


def test_a_run_that_was_written_twice_is_one_run() -> None:
    early = replace(language(), status="failed", error="did not finish", seconds=900.0)
    assert one_a_run([language(), early, language(seed=1)]) == one_a_run(
        [language(seed=1), language()]
    )
    assert len(page(early, language()).tables("runs")[0].rows) == 1


def test_a_missing_cell_shows_the_command_that_fills_it(tmp_path: Path) -> None:
    for option in ("task/niah", "scale/tiny", "model/mac"):
        (tmp_path / f"{option}.yaml").parent.mkdir(exist_ok=True)
        (tmp_path / f"{option}.yaml").touch()
    (sheet,) = page(conf=tmp_path).tables("table2_niah")
    tags = ((cell.labels[-1], attributes) for cell in sheet.cells for _, attributes in cell.tags)
    commands = {label: a["data-commands"] for label, a in tags if "data-commands" in a}
    assert commands == {"Titans (MAC)": "python run.py model=mac task=niah scale=tiny seed=0"}


def test_misprints_are_flagged() -> None:
    found = page()
    marks = [a["href"] for tag, a in found.tags if tag == "a" and "note" in a["href"]]
    assert len([mark for mark in marks if mark.startswith("#table1_language")]) == 4
    assert "Not the mean of its row, which is 47.87." in found.text


def test_scores_against_length_are_drawn_and_the_papers_are_dashed() -> None:
    scores = {"niah_single_1/2048": 99.0, "niah_single_1/4096": None}
    choices = {"model": "mac", "task": "niah", "scale": "tiny"}
    record = Record(choices=choices, seed=0, started="2026-01-01", scores=scores)
    found = page(record)
    drawn = found.by_class("charts")
    assert len(drawn) == sum(load(HERE / n).columns == ("length",) for n in names())
    assert len(found.by_class("ours")) == 3 - 2
    assert found.by_class("theirs")
    assert "ours: Titans (MAC), 2K: 99.0" in found.text
    coordinates = " ".join(a["points"] for tag, a in found.tags if tag == "polyline")
    assert "nan" not in coordinates


PROBE = """
import sys, time
from pathlib import Path
from experiments.compare import compare
from experiments.html import write_page
from experiments.record import read_all
from experiments.table import HERE, load, names
records, warnings = read_all(Path(sys.argv[1]))
tables = [compare(load(HERE / name), records) for name in names()]
write_page(Path(sys.argv[2]), tables, records, warnings)
heavy = [name for name in ("torch", "numpy", "matplotlib", "titans") if name in sys.modules]
print(len(records), heavy, time.process_time())
"""


def build(records: Path, path: Path) -> tuple[int, str, float]:
    """Number of records, heavy imports and seconds that a fresh interpreter computed."""
    command = [sys.executable, "-c", PROBE, str(records), str(path)]
    answer = subprocess.run(command, cwd=HERE.parent, capture_output=True, text=True, check=True)
    count, heavy, seconds = re.fullmatch(r"(\d+) (\[.*\]) (\S+)\n", answer.stdout).groups()  # type: ignore[union-attr]
    return int(count), heavy, float(seconds)


def test_the_page_of_this_checkout_takes_no_torch_and_under_two_seconds(tmp_path: Path) -> None:
    _, heavy, seconds = build(HERE / "records", tmp_path / "report.html")
    assert heavy == "[]"
    assert seconds < 2


@pytest.mark.slow
def test_ten_thousand_records_take_under_ten_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Each would wait for the disk.
    monkeypatch.setattr(os, "fsync", lambda _: None)
    choices: dict[str, Any] = {"task": "niah", "scale": "tiny"}
    scores = {f"niah_single_{i}/{2**n}": 50.0 + i + n for i in (1, 2, 3) for n in range(11, 15)}
    counts = {"tokens": 1000} | {f"prompts/{score}": 20 for score in scores}
    for seed in range(2500):
        for model in ("lmm", "mac", "mag", "mal"):
            overrides = [f"model={model}", "task=niah", f"seed={seed}"]
            record = Record(
                choices | {"model": model}, seed, "2026-01-01", {}, overrides, scores, counts
            )
            record.write(tmp_path)
    count, _, seconds = build(tmp_path, tmp_path / "report.html")
    assert count == 10_000
    assert seconds < 10
