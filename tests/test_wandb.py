"""What a run leaves for W&B, read back from its files, and that these can be uploaded."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import wandb
from lightning.pytorch.loggers import WandbLogger

from experiments.record import FINISHED, Record
from tests.wandb_server import server
from titans.tasks import finish

ROOT = Path(__file__).parents[1]
WANDB = Path(sys.executable).with_name("wandb")
EPOCHS = 40
KEY = "5ec4e7" * 7
SWEEP = [
    *("-m", "task=timeseries", "model=forecasting/rlinear", "task.dataset=sample", "seed=4"),
    f"task.training={{batch:40,epochs:{EPOCHS},patience:{EPOCHS},schedule:constant}}",
    *("hardware=cpu", "hardware.threads=1", "checkpoint_every=20", "logger=wandb"),
]


def environment(folder: Path, **more: str) -> dict[str, str]:
    """No settings and no key of whoever runs the tests."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WANDB")}
    places = {f"WANDB_{kind}_DIR": str(folder / kind) for kind in ("DATA", "CACHE", "CONFIG")}
    quiet = {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1", "NETRC": str(folder / "netrc")}
    return kept | places | quiet | more


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep of one run that was stopped, and started again."""
    folder = tmp_path_factory.mktemp("wandb")
    places = [f"hydra.sweep.dir={folder}/outputs", f"records={folder}/records"]
    options: dict[str, Any] = {
        "args": [sys.executable, str(ROOT / "run.py"), *SWEEP, *places],
        "cwd": ROOT,
        "env": environment(folder, WANDB_MODE="offline"),
        "text": True,
    }
    process = subprocess.Popen(**options, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("step 50/"):
            # After SIGKILL, what W&B had not written yet would be lost.
            process.send_signal(signal.SIGINT)
            break
    process.communicate(timeout=60)
    assert process.returncode == 130
    done = subprocess.run(**options, capture_output=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Goes on from" in done.stdout
    return folder


@pytest.fixture(scope="module")
def attempts(folder: Path) -> list[list[dict[str, Any]]]:
    """What each of the two attempts left, as `wandb leet inspect` reads it."""
    files = sorted(folder.glob("outputs/**/offline-run-*/run-*.wandb"))
    assert len(files) == 2
    command = [str(WANDB), "leet", "inspect", "--json"]
    outputs = [subprocess.run([*command, str(path)], env=environment(folder), cwd=folder,
                              capture_output=True, text=True, check=True).stdout
               for path in files]  # fmt: skip
    return [[json.loads(line) for line in output.splitlines()] for output in outputs]


def of(lines: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [line[kind] for line in lines if line["type"] == kind]


def history(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row["item"] for row in of(lines, "history")]


def test_the_run_says_what_it_is(attempts: list[list[dict[str, Any]]], folder: Path) -> None:
    (run,) = of(attempts[1], "run")
    assert run["project"] == "titans"
    assert run["run_group"].startswith("timeseries-")
    assert run["job_type"] == "train"
    assert run["tags"] == ["forecasting/rlinear", "timeseries", "window", "seed4"]
    (record,) = (Record.read(path) for path in folder.glob("records/*.json"))
    assert record.status == FINISHED
    assert record.wandb == f"titans/{run['run_id']}"
    assert of(attempts[1], "exit")[0]["exit_code"] == 0


def test_the_configuration_is_logged_as_resolved(attempts: list[list[dict[str, Any]]]) -> None:
    updates = (config["update"] for config in of(attempts[1], "config"))
    config = next(update for update in updates if "task" in update)
    assert config["seed"] == 4
    assert config["task"]["data"]["dataset"] == "sample"
    assert config["task"]["training"]["epochs"] == EPOCHS
    assert "${" not in json.dumps(config)


def test_a_resumed_run_is_one_run(attempts: list[list[dict[str, Any]]]) -> None:
    first, second = (of(lines, "run")[0] for lines in attempts)
    assert first["run_id"] == second["run_id"]
    assert first["run_group"] == second["run_group"]
    assert second["resume"]
    before, after = (
        [row["trainer/global_step"] for row in history(lines) if "train/loss" in row]
        for lines in attempts
    )
    assert max(before) < min(after)


def test_tokens_are_the_step_of_everything(attempts: list[list[dict[str, Any]]]) -> None:
    every = [metric for metric in of(attempts[1], "metric") if metric.get("glob_name") == "*"]
    assert every[-1]["step_metric"] == "tokens"
    shown = [row for row in history(attempts[1]) if {"train/loss", "validation/mse"} & row.keys()]
    assert shown
    assert all("tokens" in row for row in history(attempts[1]))
    tokens = [row["tokens"] for row in history(attempts[1])]
    assert tokens == sorted(tokens)


def test_scores_are_a_number_a_table_and_a_plot_and_pictures_are_there(
    attempts: list[list[dict[str, Any]]], folder: Path
) -> None:
    (record,) = (Record.read(path) for path in folder.glob("records/*.json"))
    rows = history(attempts[1])
    found = {k: v for row in rows for k, v in row.items() if k.startswith("score/")}
    assert found == {f"score/{k}": pytest.approx(v) for k, v in record.scores.items()}
    kinds = {k: v for row in rows for k, v in row.items() if k.endswith("._type")}
    assert kinds["scores._type"] == "table-file"
    assert kinds["forecasts._type"] == "image-file"
    assert any("wandb.visualize.scores_plot" in key for config in of(attempts[1], "config")
               for key in config["update"])  # fmt: skip
    files = {f["path"] for item in of(attempts[1], "files") for f in item["files"]}
    assert any(name.startswith("media/table/scores") for name in files)
    assert any(name.startswith("media/images/forecasts") for name in files)


def test_the_run_can_be_uploaded(folder: Path, tmp_path: Path) -> None:
    attempts = [tmp_path / path.name for path in sorted(folder.glob("outputs/**/offline-run-*"))]
    for path in attempts:
        (source,) = folder.glob(f"outputs/**/{path.name}")
        shutil.copytree(source, path)
    with server() as (url, received):
        place = environment(tmp_path, WANDB_BASE_URL=url, WANDB_API_KEY="0" * 40)
        done = subprocess.run([str(WANDB), "sync", *map(str, attempts)], env=place, cwd=tmp_path,
                              timeout=120, capture_output=True, text=True)  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert (done.stdout + done.stderr).count("Finished syncing") == 2
    created = [run for run in received.runs if run["displayName"]]
    assert len({run["name"] for run in created}) == 1
    assert {run["jobType"] for run in created} == {"train"}
    assert created[0]["tags"][0] == "forecasting/rlinear"
    assert received.complete == 2
    lines = [json.loads(line) for line in received.lines["wandb-history.jsonl"]]
    assert any("score/sample/mse" in line for line in lines)
    assert any("media/images/forecasts" in path for path in received.files)


@pytest.mark.fault(
    "W&B unreachable in mid-run", "the run ends as it would, and says what to upload"
)
@pytest.mark.slow
def test_training_goes_on_where_it_cannot_be_reached(tmp_path: Path) -> None:
    places = [f"hydra.run.dir={tmp_path}/run", f"records={tmp_path}/records"]
    with server() as (url, received):
        process = subprocess.Popen(
            [sys.executable, str(ROOT / "run.py"), *SWEEP[1:], *places, "+logger.finish_timeout=5"],
            cwd=ROOT, env=environment(tmp_path, WANDB_BASE_URL=url, WANDB_API_KEY=KEY), text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        assert process.stderr is not None
        said = ""
        for line in process.stderr:
            said += line
            if line.startswith("step 50/"):
                received.down = True
                break
        output, errors = process.communicate(timeout=200)
    said += output + errors
    assert process.returncode == 0, said
    assert len(received.runs) > 0
    assert received.complete == 0
    assert "Traceback" not in said
    (record,) = (Record.read(path) for path in tmp_path.glob("records/*.json"))
    assert record.status == FINISHED
    assert record.counts["steps"] == EPOCHS * (209 // 40)
    (files,) = tmp_path.glob("run/**/run-*/run-*.wandb")
    assert re.findall(r"W&B did not take all of the run \(.*\): `wandb sync (.*)`", said) == [
        os.path.relpath(files.parent, ROOT)
    ]
    assert_secret(KEY, tmp_path, said)


@pytest.mark.slow
def test_no_key_is_in_what_a_run_leaves(tmp_path: Path) -> None:
    token = "hf_" + "SecretOfTheHub" * 2
    place = environment(tmp_path, WANDB_MODE="offline", WANDB_API_KEY=KEY, HF_TOKEN=token)
    places = [f"hydra.run.dir={tmp_path}/run", f"records={tmp_path}/records"]
    done = subprocess.run([sys.executable, str(ROOT / "run.py"), *SWEEP[1:], *places], cwd=ROOT,
                          env=place, capture_output=True, text=True, timeout=200)  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(list(tmp_path.glob("records/*.json"))) == 1
    assert list(tmp_path.glob("run/**/run-*.wandb"))
    for secret in (KEY, token):
        assert_secret(secret, tmp_path, done.stdout + done.stderr)


def assert_secret(secret: str, folder: Path, said: str) -> None:
    """It is in no file and no file's name below a folder, and was not said."""
    assert secret not in said
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 3
    assert not [path for path in files if secret in str(path)]
    assert not [path for path in files if secret.encode() in path.read_bytes()]


@pytest.mark.parametrize("mode", ["online", "offline"])
def test_checkpoints_are_uploaded_where_it_is_online(
    mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_DATA_DIR", str(tmp_path))
    logged: list[wandb.Artifact] = []
    ended: list[int] = []
    run = SimpleNamespace(
        id="abc",
        settings=SimpleNamespace(mode=mode),
        log=lambda *_: None,
        log_artifact=logged.append,
        finish=lambda exit_code: ended.append(exit_code),
    )
    monkeypatch.setattr(WandbLogger, "experiment", run)
    monkeypatch.setattr(WandbLogger, "log_metrics", lambda *_: None)
    checkpoint = tmp_path / "last.ckpt"
    checkpoint.write_bytes(b"weights")
    logger = WandbLogger(offline=True, save_dir=tmp_path)
    finish(logger, {"niah/1024": 1.0}, {}, checkpoint=checkpoint, failed=True)
    assert [artifact.name for artifact in logged] == ["checkpoint-abc"] * (mode == "online")
    assert ended == [1]
