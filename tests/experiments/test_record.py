"""A record survives crashes, and whatever is not an intact record is skipped by name."""

import json
import math
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from experiments import provenance
from experiments.record import Record, RecordError, read_all

ROOT = Path(__file__).parents[2]


@pytest.fixture
def record() -> Record:
    return Record(
        choices={"model": "mac", "task": "niah", "scale": "tiny"},
        settings={"task.dataset": "ETTh1"},
        overrides=["model=mac"],
        seed=3,
        scores={"niah_single_1/2048": 97.5, "diverged/ppl": math.nan, "huge/ppl": math.inf},
        counts={"tokens": 1000, "prompts/niah_single_1/2048": 24},
        started="2026-01-02T03:04:05+00:00",
        seconds=1,
    )


def test_reads_back_what_was_written(record: Record, tmp_path: Path) -> None:
    path = record.write(tmp_path / "new" / "folder")
    assert Record.read(path) == record
    assert path.name.startswith("20260102T030405Z-mac-niah-tiny-seed3-")


@pytest.mark.parametrize(
    "later", [{"wandb": "titans/1a2b3c4d"}, {"configuration": {"network": "1a2b3c4d5e6f"}}]
)
def test_a_record_without_a_later_field_is_as_older_ones(
    record: Record, later: dict[str, Any], tmp_path: Path
) -> None:
    there = replace(record, **later)
    assert Record.read(there.write(tmp_path)) == there
    assert not later.keys() & json.loads(record.write(tmp_path).read_text())
    assert len({there.digest, record.digest}) == 2


def test_scores_that_are_not_finite_are_null_in_strict_json(record: Record, tmp_path: Path) -> None:
    scores = json.loads(record.write(tmp_path).read_text())["scores"]
    assert scores["diverged/ppl"] is None
    assert scores["huge/ppl"] is None


def test_runs_of_one_second_do_not_overwrite_each_other(record: Record, tmp_path: Path) -> None:
    assert record.write(tmp_path) != replace(record, seconds=2.0).write(tmp_path)
    assert len(read_all(tmp_path)[0]) == 2


def test_a_run_replaces_its_own_record(record: Record, tmp_path: Path) -> None:
    early = replace(record, status="failed", error="interrupted").write(tmp_path)
    final = record.write(tmp_path, previous=early)
    assert record.write(tmp_path, previous=final) == final
    assert list(tmp_path.iterdir()) == [final]


@pytest.mark.fault("a disk that fails while a record is written", "the old one is whole")
def test_a_crash_while_replacing_leaves_the_old_record(
    record: Record, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    early = record.write(tmp_path)

    def crash(*_: object) -> None:
        raise OSError("power cut")

    monkeypatch.setattr(os, "replace", crash)
    with pytest.raises(OSError, match="power cut"):
        replace(record, seconds=2.0).write(tmp_path, previous=early)
    assert list(tmp_path.iterdir()) == [early]
    assert Record.read(early) == record


# Kills itself before or after a call in the midst of writing.
KILLED = """
import os, signal, sys
from dataclasses import replace
from experiments.record import Record

folder, name, when = sys.argv[1:]
run = Record(choices={"model": "mac"}, seed=3, started="2026-01-02T03:04:05", status="failed")
early, call = run.write(folder), getattr(os, name)
def fatal(*arguments):
    if when == "after":
        call(*arguments)
    os.kill(os.getpid(), signal.SIGKILL)
setattr(os, name, fatal)
replace(run, status="finished").write(folder, previous=early)
"""


@pytest.mark.fault("kill -9 while a record is written", "the old or the new one is whole")
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("name", ["fsync", "replace"])
def test_killed_while_a_record_is_written_one_of_the_two_is_there(
    name: str, when: str, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", KILLED, str(tmp_path), name, when]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == -signal.SIGKILL
    records, warnings = read_all(tmp_path)
    assert not warnings
    finished = (name, when) == ("replace", "after")
    assert [found.status for found in records] == ["failed", "finished"][: 1 + finished]


MANY = """
import os, sys, time
from dataclasses import replace
from experiments.record import Record

folder, started = sys.argv[1], time.monotonic() + 1
for seed in range(100):
    if not os.fork():
        run = Record(choices={"model": "mac"}, seed=seed, started="2026-01-02T03:04:05",
                     status="failed", error="did not finish", scores={str(n): n for n in range(99)})
        time.sleep(max(0, started - time.monotonic()))
        path = run.write(folder)
        for seconds in (1.0, 2.0):
            path = replace(run, seconds=seconds).write(folder, previous=path)
        replace(run, status="finished", error="").write(folder, previous=path)
        os._exit(0)
sys.exit(any(os.wait()[1] for _ in range(100)))
"""


@pytest.mark.fault(
    "100 sweep jobs that write records at once", "all are there, and no reader sees half of one"
)
def test_a_hundred_processes_write_at_once(tmp_path: Path) -> None:
    """While they do, no reader sees half of a record or misses one that it saw."""
    process = subprocess.Popen([sys.executable, "-c", MANY, str(tmp_path)], cwd=ROOT)
    known: set[int] = set()
    while process.poll() is None:
        records, warnings = read_all(tmp_path)
        assert not warnings
        seeds = {record.seed for record in records}
        assert known <= seeds
        known = seeds
    assert process.returncode == 0
    records, warnings = read_all(tmp_path)
    assert not warnings
    assert [record.status for record in records] == ["finished"] * 100
    assert {record.seed for record in records} == set(range(100))
    assert len(list(tmp_path.iterdir())) == 100, "temporary files, too, are gone"


@pytest.mark.fault("a clock that goes backwards", "no time is negative, no record is lost")
def test_a_clock_that_goes_backwards_loses_nothing(record: Record, tmp_path: Path) -> None:
    """A run is where its clock said, and none takes another's place."""
    later = record.write(tmp_path)
    earlier = replace(record, started="2026-01-02T03:04:04+00:00", seed=4).write(tmp_path)
    again = replace(record, started="2025-12-31T00:00:00+00:00").write(tmp_path, previous=later)
    assert sorted(tmp_path.iterdir()) == [again, earlier]
    assert [found.seed for found in read_all(tmp_path)[0]] == [3, 4]


@pytest.mark.fault("a record that was cut or altered", "skipped by name")
@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: "",
        lambda text: "[1, 2]",
        lambda text: '{"some": "other file"}',
        lambda text: text.replace("97.5", "99.5"),
        lambda text: text.replace("97.5", "NaN"),
        lambda text: text.replace("97.5", '"high"'),
        lambda text: text.replace('"seed": 3', '"seed": "three"'),
        lambda text: text.replace('"finished"', '"perfect"'),
        lambda text: text.replace('"error": ""', '"error": "", "more": 1'),
    ],
    ids=["cut", "empty", "list", "foreign", "tampered", "nan", "text", "seed", "status", "extra"],
)
def test_what_is_no_intact_record_is_skipped_by_name(damage, record, tmp_path) -> None:  # type: ignore[no-untyped-def]
    good = record.write(tmp_path)
    bad = tmp_path / "bad.json"
    bad.write_text(damage(good.read_text()))
    with pytest.raises(RecordError, match=r"bad\.json"):
        Record.read(bad)
    records, warnings = read_all(tmp_path)
    assert records == [record]
    assert len(warnings) == 1
    assert "bad.json" in warnings[0]


def test_a_copied_record_counts_once(record: Record, tmp_path: Path) -> None:
    path = record.write(tmp_path)
    (tmp_path / "copy.json").write_bytes(path.read_bytes())
    assert read_all(tmp_path) == ([record], [])


def test_bytes_and_folders_are_skipped_too(tmp_path: Path) -> None:
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "folder.json").mkdir()
    records, warnings = read_all(tmp_path)
    assert not records
    assert len(warnings) == 2


def test_a_meaningless_field_is_refused(record: Record) -> None:
    with pytest.raises(RecordError, match="yesterday"):
        replace(record, started="yesterday")
    with pytest.raises(RecordError, match="unsure"):
        replace(record, status="unsure")


def test_provenance_is_plain_and_anonymous(tmp_path: Path) -> None:
    assert provenance.commit(tmp_path) == ""
    assert "python" in provenance.versions()
    facts = provenance.machine("some device")
    assert facts["device"] == "some device"
    assert os.uname().nodename not in facts.values()
