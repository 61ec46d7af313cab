"""Faults around a whole run: its clock, its dashboard, its folders."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import torch
from lightning import Trainer
from omegaconf import DictConfig, OmegaConf
from torch import nn

import run
from experiments.folder import alone
from experiments.record import FAILED, FINISHED, Record, read_all
from experiments.sweep import name

ROOT = Path(__file__).parents[1]


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DictConfig:
    """A run that trains nothing."""
    began = Record(choices={"model": "mac", "task": "throughput"}, seed=0, started="2026-01-02")
    monkeypatch.setattr(run, "planned", lambda _: began)
    monkeypatch.setattr(run, "identity", lambda _: {"choices": began.choices})
    monkeypatch.setattr(run, "commit", lambda: "")
    settings = {"output_dir": str(tmp_path), "records": str(tmp_path / "records")}
    return OmegaConf.create(settings | {"resume": False, "evaluate_only": None, "search": False})


def scored(config: DictConfig, *loggers: Any, scores: Any) -> Record:
    strategy = Mock(root_device=torch.device("cpu"))
    how = {"precision": "32-true", "world_size": 1}
    trainer = Mock(Trainer, loggers=list(loggers), strategy=strategy, **how)
    task = Mock(network=nn.Linear(1, 1), tokens_seen=0, seconds_before=0.0)
    return run.run(config, task, None, {"one": lambda _: scores}, trainer)


def two() -> Iterator[tuple[str, float, dict[str, float]]]:
    yield "some/score", 1.0, {"prompts": 2}
    yield "other/score", 2.0, {"prompts": 2}


@pytest.mark.fault("a clock that goes backwards", "no time is negative, no record is lost")
def test_seconds_are_not_negative_where_the_clock_goes_backwards(
    config: DictConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = iter(range(10**9, 0, -3600))
    monkeypatch.setattr(time, "time", lambda: float(next(now)))
    assert 0 <= scored(config, scores=two()).seconds < 60


@pytest.mark.fault("an error while a model is scored", "scores until then are in the record")
def test_a_score_is_recorded_before_the_next_is_computed(config: DictConfig) -> None:
    def broken() -> Iterator[tuple[str, float, dict[str, float]]]:
        yield from two()
        (record,), _ = read_all(config.records)
        assert record.scores == {"some/score": 1.0, "other/score": 2.0}
        assert record.status == FAILED
        raise MemoryError("no more")

    with pytest.raises(MemoryError):
        scored(config, scores=broken())
    (record,), _ = read_all(config.records)
    assert (record.status, record.error) == (FAILED, "MemoryError: no more")
    assert len(record.scores) == 2


@pytest.mark.fault("Ctrl-C while a dashboard is waited for", "the record is finished")
def test_the_record_is_there_before_a_dashboard_is_waited_for(
    config: DictConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[Record] = []

    def wait(*_: object, **__: object) -> None:
        found.extend(read_all(config.records)[0])
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "report", wait)
    with pytest.raises(KeyboardInterrupt):
        scored(config, scores=two())
    assert [record.status for record in found] == [FINISHED]
    assert found == read_all(config.records)[0]


def refused(*arguments: str) -> str:
    """What a command says that is refused before it computes."""
    command = [sys.executable, str(ROOT / "run.py"), *arguments, "task=niah", "logger=none"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    said = done.stdout + done.stderr
    assert done.returncode == 2, said
    assert "Traceback" not in said
    return said


@pytest.mark.fault("two runs in one output folder", "the second is refused")
@pytest.mark.parametrize("kind", ["run", "sweep"])
def test_a_second_run_in_a_folder_is_refused(kind: str, tmp_path: Path) -> None:
    places = [f"hydra.{kind}.dir={tmp_path}/out", f"records={tmp_path}/records"]
    sweep = tmp_path / "out" / "sweeps" / name(["task=niah", "logger=none", *places])
    folder = sweep if kind == "sweep" else tmp_path / "out"
    folder.mkdir(parents=True)
    with alone(folder):
        said = refused(*["-m"] * (kind == "sweep"), *places)
    assert f"Another run writes to {folder}" in said
    assert not list(tmp_path.glob("records/*"))


@pytest.mark.fault("an output folder that takes nothing", "refused before anything is computed")
@pytest.mark.parametrize("place", ["hydra.run.dir", "hydra.sweep.dir", "records"])
def test_a_folder_that_takes_nothing_is_refused(place: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    places = {"hydra.run.dir": f"{tmp_path}/out", "records": f"{tmp_path}/records"}
    settings = [f"{key}={value}" for key, value in (places | {place: f"{tmp_path}/file"}).items()]
    said = refused(*["-m"] * ("sweep" in place), *settings)
    assert f"Nothing can be written to {tmp_path}/file (File exists)" in said
