"""What happens around a run while it computes: the clock, the dashboard, the record."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import torch
from omegaconf import DictConfig, OmegaConf
from torch import nn

import run
from experiments.record import FAILED, FINISHED, Record, read_all


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
    trainer = Mock(loggers=list(loggers), strategy=strategy, precision="32-true")
    task = Mock(network=nn.Linear(1, 1), tokens_seen=0)
    return run.run(config, task, None, {"one": lambda _: scores}, trainer)


def two() -> Iterator[tuple[str, float, dict[str, float]]]:
    yield "some/score", 1.0, {"prompts": 2}
    yield "other/score", 2.0, {"prompts": 2}


def test_seconds_are_not_negative_where_the_clock_goes_backwards(
    config: DictConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = iter(range(10**9, 0, -3600))
    monkeypatch.setattr(time, "time", lambda: float(next(now)))
    assert 0 <= scored(config, scores=two()).seconds < 60


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
