"""The page in a real browser, where there is one: sorts, filters, opens what it should."""

import json
import re
import shutil
import subprocess
from dataclasses import replace
from html import unescape
from typing import Any

import pytest

from experiments.compare import compare
from experiments.html import render
from experiments.table import HERE, load, names
from tests.experiments.test_html import EVIL, language

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--enable-logging=stderr"),
]

# Runs after the page's own script, does what a hand would, and leaves what it saw in the page.
STEPS = """
<script>
const $ = (selector) => document.querySelector(selector);
const rows = (box) => [...$(box).querySelectorAll("tbody tr:not(.group)")].filter((r) => !r.hidden);
const names = (box) => rows(box).map((row) => row.querySelector("th").textContent);
const type = (text) => {
  $("#filter").value = text;
  $("#filter").dispatchEvent(new Event("input", { bubbles: true }));
};
const box = "#table5_ablation .box";
const seen = { before: names(box) };
const heading = $(box).querySelectorAll("th[aria-sort]")[1];
for (const step of ["first", "second", "third"]) {
  heading.querySelector("button").click();
  seen[step] = [heading.ariaSort, names(box)];
}
type("mac 400m");
seen.filtered = [names("#table1_language .box"), $("#matches").value, $("#table4_genomics").hidden];
type("");
seen.unfiltered = [names(box), $("#matches").value, $("#table4_genomics").hidden];
$(box).querySelector("[data-runs]").click();
seen.opened = [$("dialog").open, $("#about").textContent, $("#story").textContent];
$("dialog form button").click();
seen.closed = !$("dialog").open;
$("#table2_niah [data-commands]").click();
seen.missing = $("#story pre").textContent;
$("dialog").close();
seen.wide = document.documentElement.scrollWidth - window.innerWidth;
seen.scripts = document.scripts.length;
const pre = document.createElement("pre");
pre.textContent = JSON.stringify(seen);
document.body.replaceChildren(pre);
</script>
</body>"""


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("browser")
    records = [language(), replace(language(seed=1), commit=EVIL)]
    tables = [compare(load(HERE / name), records) for name in names()]
    path = folder / "report.html"
    # The policy of the page admits its own scripts, which this one joins.
    path.write_text(render(tables, records, []).replace("</body>", STEPS))
    command = [str(BROWSER), *FLAGS, f"--user-data-dir={folder}/profile", "--window-size=390,844"]
    answer = subprocess.run(
        [*command, "--dump-dom", path.as_uri()], capture_output=True, text=True, timeout=120
    )
    assert "CONSOLE" not in answer.stderr, answer.stderr
    found = re.search(r"<pre>(\{.*\})</pre>", answer.stdout, re.DOTALL)
    assert found, answer.stderr
    content: dict[str, Any] = json.loads(unescape(found[1]))
    return content


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="needs Chromium"),
]


def test_columns_sort_up_down_and_back(seen: dict[str, Any]) -> None:
    printed = {
        cell.labels["model"]: cell.paper
        for cell in load(HERE / "table5_ablation").cells
        if cell.labels["metric"] == "ppl"
    }
    # MAC is sorted by ours, the mean of 31 and 33.
    rising = sorted(printed, key=(printed | {"MAC": 32.0}).__getitem__)
    assert seen["first"] == ["ascending", rising]
    assert seen["second"] == ["descending", rising[::-1]]
    assert seen["third"] == ["none", seen["before"]]


def test_words_filter_rows(seen: dict[str, Any]) -> None:
    rows, matches, genomics_hidden = seen["filtered"]
    assert rows == ["Titans (MAC)"]
    assert re.fullmatch(r"\d+ of \d+ rows", matches)
    assert genomics_hidden
    assert seen["unfiltered"] == [seen["before"], "", False]


def test_a_number_opens_its_runs(seen: dict[str, Any]) -> None:
    is_open, about, story = seen["opened"]
    assert is_open
    assert about.startswith("Table 5, MAC, language_modeling ppl")
    for fact in (
        "seed 0: 32.00, seed 1: 32.00",
        "0123456789abcdef",
        EVIL,
        "python run.py model=mac",
    ):
        assert fact in story
    assert seen["scripts"] == 2
    assert seen["closed"]


def test_a_missing_number_opens_its_command(seen: dict[str, Any]) -> None:
    assert seen["missing"].startswith("python run.py model=")


def test_only_tables_scroll_sideways_on_a_phone(seen: dict[str, Any]) -> None:
    assert seen["wide"] <= 0
