"""The dashboard: what it is made of, offline, and that a server on this machine takes it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from experiments.compare import compare
from experiments.table import HERE, load, names
from tests.wandb_server import server

dashboard = pytest.importorskip("experiments.dashboard")
TABLES = [load(HERE / name) for name in names()]


def run(folder: Path, **more: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WANDB")}
    places = {f"WANDB_{kind}_DIR": str(folder) for kind in ("DATA", "CACHE", "CONFIG")}
    return subprocess.run(
        [sys.executable, "-m", "experiments", "dashboard"],
        cwd=HERE.parent,
        env=kept | places | {"NETRC": str(folder / "netrc")} | more,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture(scope="module")
def spec() -> dict[str, Any]:
    """A workspace as it is sent."""
    view = dashboard.workspace(TABLES, "titans", "someone")
    return json.loads(view._to_model().spec.model_dump_json(by_alias=True, exclude_none=True))


def sections(spec: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Section to panels of a workspace, as it is sent."""
    return {
        section["name"]: section["panels"]
        for section in spec["section"]["panelBankConfig"]["sections"]
    }


def test_every_table_has_a_section_and_a_panel_for_each_score(spec: dict[str, Any]) -> None:
    found = sections(spec)
    assert found["Training"][0]["config"]["metrics"] == ["train/loss"]
    assert {panel["config"]["xAxis"] for panel in found["Training"]} == {"tokens"}
    (runs,) = spec["section"]["runSets"]
    assert runs["grouping"] == [{"section": "config", "name": "choices.value.model"}]
    measurable = [table for table in TABLES if table.measurable]
    assert len(measurable) >= 7
    for table in measurable:
        scores = {score for cell in table.measurable for score in cell.scores}
        panels = found[table.title]
        assert {p["config"]["metrics"][0] for p in panels} == {f"score/{s}" for s in scores}
        assert {p["config"]["groupBy"] for p in panels} == {"choices.value.model"}


def test_the_report_has_the_numbers_of_each_table() -> None:
    made = dashboard.report([compare(table, []) for table in TABLES], "titans", "someone")
    texts = [block.text for block in made.blocks if type(block).__name__ == "MarkdownBlock"]
    assert len(texts) == len(TABLES)
    assert any("| Titans (MAC)" in text for text in texts)


def test_without_a_key_it_says_what_to_set(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert done.returncode == 1
    assert "WANDB_API_KEY" in done.stdout
    assert "sections" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_with_a_key_workspace_and_report_are_saved(tmp_path: Path) -> None:
    with server() as (url, received):
        done = run(tmp_path, WANDB_BASE_URL=url, WANDB_API_KEY="0" * 40)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"workspace: {url}/someone/titans" in done.stdout
    assert f"report: {url}/someone/titans/reports" in done.stdout
    workspace, report = (json.loads(view["spec"]) for view in received.views)
    assert "Table 2: one needle in a haystack (RULER)" in sections(workspace)
    text = json.dumps(report)
    assert "score/niah_single_1/2048" in text
    assert '"choices.task"' in text
