"""Which runs of a sweep are needless: those that a table would not ask for again, no others."""

from itertools import product

import pytest
import yaml

from experiments.compare import compare
from experiments.record import FAILED, Record
from experiments.recorded import recorded
from experiments.table import CONF, HERE, load

SCORES = {
    f"niah_single_{needle}/{length}": 50.0
    for needle in (1, 2, 3)
    for length in (2048, 4096, 8192, 16384)
}
TABLE = load(HERE / "table2_niah")


def niah(*overrides: str, seed: int = 0, **fields: object) -> Record:
    """A run as `run.py` plans and records it."""
    typed = dict(o.split("=") for o in overrides)
    given = {k: v for k, v in typed.items() if k in ("model", "experiment", "hardware", "logger")}
    defaults = {"model": "mac", "task": "niah", "scale": "tiny", "hardware": "auto"}
    content = {"choices": defaults | given, "overrides": [*overrides, f"seed={seed}"]}
    content |= {"seed": seed, "started": "2026-01-01T00:00:00+00:00", "scores": SCORES}
    return Record(**(content | fields))  # type: ignore[arg-type]


PLAN = niah("experiment=table2", "model=lmm")


@pytest.mark.parametrize(
    "record",
    [
        PLAN,
        niah("model=lmm"),
        niah("model=lmm", "hardware=cpu", "hardware.threads=1", "logger=none"),
        niah("model=lmm", "task.prompts={niah_single_1:20}"),
    ],
    ids=lambda record: " ".join(record.overrides),
)
def test_a_record_that_fills_the_cells_is_enough(record: Record) -> None:
    assert recorded(PLAN, [niah("model=mac"), record], [TABLE]) is record


@pytest.mark.parametrize(
    "record",
    [
        niah("model=mag"),
        niah("model=lmm", seed=1),
        niah("model=lmm", status=FAILED, error="stopped"),
        niah("model=lmm", "task.steps=5"),
        niah("model=lmm", scores={"niah_single_1/2048": 50.0}),
        niah("model=lmm", choices={"model": "lmm", "task": "niah", "scale": "170m"}),
    ],
    ids=lambda record: " ".join(record.overrides),
)
def test_another_record_is_not(record: Record) -> None:
    assert recorded(PLAN, [record], [TABLE]) is None


def test_what_is_asked_for_beside_the_recipe_is_run() -> None:
    records = [niah("experiment=table2", "model=lmm")]
    for asked in ("task.lengths=[131072]", "task.prompts={niah_single_1:9}", "task.steps=5"):
        assert recorded(niah("experiment=table2", "model=lmm", asked), records, [TABLE]) is None


def test_without_a_recipe_the_same_run_is_needless() -> None:
    changed = niah("model=lmm", "task.steps=5", "hardware.threads=1")
    assert recorded(niah("task.steps=5", "model=lmm"), [changed], [TABLE]) is changed
    assert recorded(niah("task.steps=6", "model=lmm"), [changed], [TABLE]) is None
    # The prompts of the recipe are more than those of the task.
    assert recorded(niah("model=lmm"), [niah("experiment=table2", "model=lmm")], [TABLE]) is None


def test_a_sweep_runs_what_the_table_says_is_missing() -> None:
    records = [niah("model=lmm"), niah("experiment=table2", "model=mac"), niah("model=ttt", seed=1)]
    swept = yaml.safe_load((CONF / "experiment/table2.yaml").read_text())["hydra"]["sweeper"]
    models, seeds = (str(swept["params"][key]).split(",") for key in ("model", "seed"))
    plans = {
        (model, seed): niah("experiment=table2", f"model={model}", seed=int(seed))
        for model, seed in product(models, seeds)
    }
    left = {key for key, plan in plans.items() if not recorded(plan, records, [TABLE])}
    assert plans.keys() - left == {("lmm", "0"), ("mac", "0"), ("ttt", "1")}
    # One seed fills a cell of the table; a sweep is there for all of its seeds.
    missing = {f"python run.py model={model} task=niah scale=tiny seed=0" for model, seed in left
               if seed == "0" and model != "ttt"}  # fmt: skip
    assert missing == set(compare(TABLE, records).commands())
