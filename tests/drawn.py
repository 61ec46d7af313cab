"""Commands by chance: small ones of each task, and settings that are right, wrong or absurd."""

import random
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import hydra
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

import experiments.sweep  # noqa: F401  What the configuration resolves by.

ROOT = Path(__file__).parents[1]
WHOLE = ["-1", "0", "1", "2", "3", "4", "5", "7", "8", "16", "48", "64", "1000000", f"1{21 * '0'}"]
REAL = [*WHOLE, "-0.5", "0.3", "1.5", "1e-12", "1e30", "inf", "nan"]
TEXTS = ["abc", "''", "'a b'", "é", "../x"]
LISTS = ["[]", "[1,2]", "[-1]", "[0]", "[abc]", "[null]", "[[1,2],[3]]", "[0.5,2,nan]", "[1e30]"]
MAPPINGS = ["{}", "{a: 1}", "{128: 0}"]
OTHERS = ["null", "true", "false", "'???'", "${seed}", "${nope}"]
GROUPS = ["model", "task", "scale", "optimizer", "hardware", "logger"]
# Where a group is a number or null, Hydra itself fails.
OPTIONS = ["nope", "[mac,lmm]", "../model/mac", "mac.yaml"]

SMALL = [
    *("scale.dim=16", "scale.layers=1", "scale.chunk_size=8", "scale.segment=16"),
    *("scale.window=16", "hardware=cpu", "hardware.threads=1", "logger=none"),
]
TEXT = [
    *("task.corpus=tides.jsonl", "task.vocabulary=300", "task.held_out=0.2", "task.length=32"),
    *("task.step_tokens=128", "task.tokens=512"),
]
TASKS = {
    "niah": [
        *("task.steps=3", "task.data.length=128", "task.data.tokens_per_batch=256"),
        *("task.data.least_prompts=1", "task.lengths=[512]", "task.needles.niah_single_2=0.0"),
        "~task.windows",
        "task.prompts={niah_single_1: 1, niah_single_2: 0, niah_single_3: 0}",
    ],
    "babilong": [
        *("task.steps=3", "task.length=128", "task.curriculum=[[0,1]]", "task.prompts=1"),
        *("task.lengths=[0,128]", "task.data.tokens_per_batch=128", "task.background=tides.jsonl"),
    ],
    "lm": [*TEXT, "task.validation_tokens=200"],
    "commonsense": [
        *(*TEXT, "task.questions=sample", "task.benchmarks=[piqa]", "task.limit=2"),
        "task.max_length=128",
    ],
    "timeseries": ["task.dataset=sample", "task.training={batch: 100, epochs: 1}"],
    "genomics": ["task.dataset=sample", "task.training={batch: 100, epochs: 1}"],
    "genomics_pretrain": [
        *("task.fasta=words.fa", "task.steps=3", "task.batch=2", "task.block=500"),
        *("task.length=32", "task.curriculum=[[16,1]]"),
    ],
    "throughput": ["task.lengths=[16]", "task.tokens=16"],
}
# Models that one task alone has.
OWN = {"forecasting": "timeseries", "genomics": "genomics"}
# What is not installed, and what only the hub has.
ABSENT = ("peers", "genomics/dnabert")
# Every so many commands one is left as it is: were all refused, nothing would be tried.
PLAIN = 10


def options(group: str) -> list[str]:
    folder = ROOT / "conf" / group
    return sorted(str(p.relative_to(folder).with_suffix("")) for p in folder.rglob("*.yaml"))


@cache
def settings(*base: str) -> dict[str, Any]:
    """Every setting of a command and what it is; of those that are code, none."""
    GlobalHydra.instance().clear()
    with hydra.initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        config = hydra.compose("run", list(base))
    found: dict[str, Any] = {}

    def walk(prefix: str, node: dict[Any, Any]) -> None:
        for name, value in node.items():
            key = f"{prefix}{name}"
            if not str(name).startswith("_") and "." not in str(name):
                found[key] = None
                with suppress(OmegaConfBaseException):
                    found[key] = OmegaConf.select(config, key)
                if isinstance(value, dict):
                    walk(f"{key}.", value)

    walk("", OmegaConf.to_container(config, resolve=False))  # type: ignore[arg-type]
    return {key: value for key, value in found.items() if key not in GROUPS}


def draw(number: int) -> list[str]:
    """The command with this number: a small one, with up to three changes by chance, or none."""
    rng = random.Random(f"command {number // 4}")
    task = rng.choice(list(TASKS))
    models = [m for m in options("model") if OWN.get(m.partition("/")[0], task) == task]
    models = [m for m in models if not m.startswith(ABSENT)]
    command = [f"task={task}", f"model={rng.choice(models)}", *SMALL, *TASKS[task]]
    if task == "lm" and rng.random() < 0.3:
        command = [*command[:2], f"scale={rng.choice(options('scale'))}", "dry_run=true"]
    if number % PLAIN == 0:
        return command
    known = settings(*command)
    rng = random.Random(f"settings {number}")
    return command + [change(known, rng) for _ in range(rng.choice([1, 1, 1, 2, 3]))]


def change(known: dict[str, Any], rng: random.Random) -> str:
    """A change of a setting, or of a group of them."""
    key, kind = rng.choice(list(known)), rng.random()
    if kind < 0.08:
        group = rng.choice(GROUPS)
        return f"{group}={rng.choice([*options(group), *OPTIONS])}"
    if kind < 0.11:
        return f"~{key}"
    # Below a list Hydra itself fails.
    if kind < 0.14 and not OmegaConf.is_list(known[key]):
        return f"{rng.choice(['', '+'])}{key}.nope=1"
    value = rng.choice(values(known[key], any_kind=rng.random() < 0.15))
    # Neither a thousand processes nor a compiler.
    dangerous = {"hardware.workers": "-1", "task.data.workers": "-1", "hardware.compile": "1"}
    return f"{key}={dangerous.get(key, value)}"


def values(old: Any, *, any_kind: bool) -> list[str]:
    """What a setting may be changed to."""
    every = [*REAL, *TEXTS, *LISTS, *MAPPINGS, *OTHERS]
    if any_kind or old is None:
        return every
    if isinstance(old, bool):
        return ["true", "false", "null"]
    if isinstance(old, int | float):
        return ["null", *(WHOLE if isinstance(old, int) else REAL)]
    return [
        "null",
        *(LISTS if OmegaConf.is_list(old) else MAPPINGS if OmegaConf.is_dict(old) else TEXTS),
    ]
