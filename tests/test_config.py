"""Every choice composes, and a wrong command is refused soon, by name, without a traceback."""

import os
import resource
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import hydra
import pytest
import torch

ROOT = Path(__file__).parents[1]
MODELS, SCALES, TASKS, HARDWARE, OPTIMIZERS = (
    sorted(path.stem for path in (ROOT / "conf" / group).glob("*.yaml"))
    for group in ("model", "scale", "task", "hardware", "optimizer")
)
# Processor seconds, which do not depend on what else the machine does.
SOON = 5.0


def run(*arguments: str, cwd: Path = ROOT) -> tuple[int, str, float]:
    """Exit code, all output, and the processor time of one command."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "WANDB_MODE": "offline", "COLUMNS": "200"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, str(ROOT / "run.py"), *arguments],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return done.returncode, done.stdout + done.stderr, seconds


@pytest.fixture
def here(tmp_path: Path) -> list[str]:
    """What keeps a command's traces out of the repository."""
    return [f"hydra.run.dir={tmp_path}/run", f"records={tmp_path}/records", "logger=none"]


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("hardware", HARDWARE)
def test_every_task_and_hardware_composes(
    compose: Callable[..., Any], task: str, hardware: str
) -> None:
    config = compose(f"task={task}", f"hardware={hardware}")
    assert {"data", "network", "objective", "evaluations"} <= set(config.task)
    assert {"trainer", "threads", "kernels", "workers"} <= set(config.hardware)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("task", TASKS)
def test_every_task_takes_every_optimizer(
    compose: Callable[..., Any], task: str, optimizer: str
) -> None:
    config = compose(f"task={task}", f"optimizer={optimizer}")
    made = hydra.utils.instantiate(config.optimizer, _convert_="all")([torch.zeros(1)])
    own = config.task.get("training", config.scale).lr
    assert [group["lr"] for group in made.param_groups] == [own]


def test_a_recipe_yields_to_the_command_line(compose: Callable[..., Any]) -> None:
    for recipe in sorted(path.stem for path in (ROOT / "conf" / "experiment").glob("*.yaml")):
        config = compose(
            f"experiment={recipe}", "seed=7", "task.data.workers=3", "optimizer.lr=0.5"
        )
        assert (config.seed, config.task.data.workers, config.optimizer.lr) == (7, 3, 0.5)


def test_a_recipe_changes_the_defaults(compose: Callable[..., Any]) -> None:
    plain, recipe = compose(), compose("experiment=table2")
    assert recipe.task.prompts.niah_single_1 != plain.task.prompts.niah_single_1


@pytest.mark.parametrize(
    ("steps", "starts"), [(1800, [0, 900, 1010, 1140, 1380]), (180, [0, 90, 101, 114, 138])]
)
def test_the_curriculum_of_needles_is_a_share_of_the_steps(
    compose: Callable[..., Any], steps: int, starts: list[int]
) -> None:
    assert list(compose("task=niah", f"task.steps={steps}").task.curriculum.values()) == starts


@pytest.mark.parametrize(
    ("overrides", "vocabulary", "length", "curriculum"),
    [
        (["task=lm"], 2048, 512, []),
        (["task=lm", "scale=tiny"], 257, 2048, [[512, 4394]]),
        (["task=lm", "scale=tiny", "task.length=64"], 257, 64, [[16, 4394]]),
        (["task=commonsense", "scale=tiny"], 257, 2048, [[512, 4394]]),
        (["task=context"], 2048, 2048, [[512, 1454]]),
        (["task=lm", "experiment=language", "scale=tiny"], 32000, 4096, []),
    ],
)
def test_a_scale_has_its_own_pieces_and_lengths(
    compose: Callable[..., Any],
    overrides: list[str],
    vocabulary: int,
    length: int,
    curriculum: list[list[int]],
) -> None:
    data = compose(*overrides).task.data
    assert (data.text.vocabulary, data.length) == (vocabulary, length)
    assert data.curriculum == curriculum


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["--help"], ["model", "mac", "optimizer.lr=0.002", "resume=true"]),
        (["--cfg", "job"], ["titans.mixers.MAC", "seed: 0", "lengths:"]),
        (["--cfg", "job", "model=lmm", "seed=5"], ["titans.mixers.LMM", "seed: 5"]),
    ],
    ids=str,
)
def test_what_is_shown_without_running(
    arguments: list[str], shown: list[str], record_property: Callable[..., None]
) -> None:
    code, output, seconds = run(*arguments)
    record_property("seconds", seconds)
    assert code == 0
    assert all(text in output for text in shown), output
    assert seconds < SOON


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["task.nope=1"], ["nope"]),
        (["nope=1"], ["nope"]),
        (["model.memory.dept=3"], ["dept"]),
        (["model=nope"], ["nope", *MODELS]),
        (["task=nope"], ["nope", *TASKS]),
        (["scale=nope"], ["nope", *SCALES]),
        (["experiment=nope"], ["nope", "table2"]),
        (["task.steps=abc"], ["task.steps", "abc", "number"]),
        (["task.steps=1.5"], ["task.steps", "1.5", "whole number"]),
        (["seed=x"], ["seed", "x", "number"]),
        (["task.lengths=5"], ["task.lengths", "5", "list"]),
        (["task.lengths=[a]"], ["task.lengths", "a"]),
        (["task.prompts.niah_single_1=many"], ["task.prompts.niah_single_1", "many"]),
        (["model.memory.depth=two"], ["model.memory.depth", "two", "number"]),
        (["model.memory.gates.momentum=3"], ["model.memory.gates.momentum", "3"]),
        (["scale.lr=fast"], ["scale.lr", "fast", "number"]),
        (["scale.lr=0.5", "task=genomics"], ["scale.lr", "optimizer.lr", "0.002"]),
        (["search=true", "task=timeseries"], ["search=true", "-m hydra/sweeper=learning_rate"]),
        (["resume=maybe"], ["resume", "maybe"]),
        (["evaluate_only=/nowhere/last.ckpt"], ["/nowhere/last.ckpt", "checkpoint"]),
        (["resume=true"], ["last.ckpt", "checkpoint"]),
    ],
    ids=lambda value: value[0],
)
def test_a_wrong_command_is_refused_soon(
    arguments: list[str], named: list[str], here: list[str], record_property: Callable[..., None]
) -> None:
    code, output, seconds = run(*arguments, *here)
    record_property("seconds", seconds)
    assert code != 0
    assert "Traceback" not in output
    assert all(text in output for text in named), output
    assert seconds < SOON


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["model=mac", "model.segment=33"], ["33", "32", "multiple"]),
        (["model=mac", "model.segment=0"], ["segment"]),
        (["model=lmm", "model.memory.heads=5"], ["5 heads", "64"]),
        (["model=mag", "model.window=0"], ["window"]),
        (["model=lmm", "model.memory.chunk_size=0"], ["chunk_size"]),
        (["model=lmm", "model.memory.depth=0"], ["depth"]),
        (["model=lmm", "model.memory.gates.layers=5"], ["layers"]),
    ],
    ids=lambda value: value[-1],
)
def test_a_network_that_cannot_be_is_refused_when_it_is_made(
    compose: Callable[..., Any], arguments: list[str], named: list[str]
) -> None:
    config = compose("scale=tiny", *arguments)
    with pytest.raises(hydra.errors.InstantiationException) as refused:
        hydra.utils.instantiate(config.task.network, _convert_="all")
    assert isinstance(refused.value.__cause__, ValueError)
    assert all(text in str(refused.value.__cause__) for text in named), refused.value.__cause__


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["model=mac", "model.segment=33"], ["33", "32", "multiple"]),
        pytest.param(
            ["hardware.kernels=true"],
            ["flash-linear-attention", ".[gpu]"],
            marks=pytest.mark.skipif(bool(find_spec("triton")), reason="they are installed"),
        ),
        (["task.prompts={niah_single_1: 0, niah_single_2: 0, niah_single_3: 0}"], ["task.prompts"]),
        pytest.param(
            ["hardware=gpu"],
            ["gpu"],
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="there is one"),
        ),
    ],
    ids=lambda value: value[-1],
)
def test_what_cannot_be_built_is_refused(
    arguments: list[str], named: list[str], here: list[str], tmp_path: Path
) -> None:
    code, output, _ = run(*arguments, *here, "task.steps=1")
    assert code != 0
    assert "Traceback" not in output
    assert all(text in output for text in named), output
    assert len(output.strip().splitlines()) <= 3, output
    assert not list(tmp_path.glob("records/*.json"))


def test_the_options_for_slurm_are_those_of_its_launcher() -> None:
    with hydra.initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        chosen = ["hydra/launcher=slurm", "hydra.launcher.partition=gpu"]
        config = hydra.compose("run", chosen, return_hydra_config=True)
    launcher = config.hydra.launcher
    assert launcher._target_.endswith("SlurmLauncher")
    assert (launcher.partition, launcher.gpus_per_node) == ("gpu", 1)
    assert launcher.max_num_timeout > 0


def test_slurm_starts_a_process_a_device_on_each_machine() -> None:
    with hydra.initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        chosen = ["hardware=slurm", "hydra.launcher.partition=gpu", "hardware.trainer.num_nodes=4"]
        config = hydra.compose("run", chosen, return_hydra_config=True)
    launcher, trainer = config.hydra.launcher, config.hardware.trainer
    assert config.hydra.mode.name == "MULTIRUN"
    assert (launcher.nodes, launcher.tasks_per_node, launcher.gpus_per_node) == (4, 8, 8)
    assert (trainer.num_nodes, trainer.devices) == (4, 8)
    assert trainer.strategy._target_ == "titans.tasks.Sharded"
