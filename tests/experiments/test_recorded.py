"""Which runs of a sweep are needless: those that a table would not ask for again, no others."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path

import hydra
import pytest
import yaml

from experiments.cell import CONF
from experiments.compare import compare
from experiments.configured import configured
from experiments.record import FAILED, Record
from experiments.recorded import recorded
from experiments.table import HERE, load

SCORES = {
    f"niah_single_{needle}/{length}": 50.0
    for needle in (1, 2, 3)
    for length in (2048, 4096, 8192, 16384)
}
TABLE = load(HERE / "table2_niah")


@pytest.fixture(autouse=True)
def conf() -> Iterator[None]:
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        yield


def niah(*overrides: str, seed: int = 0, **fields: object) -> Record:
    """A run as it was recorded before records had a configuration."""
    typed = dict(o.split("=") for o in overrides)
    given = {k: v for k, v in typed.items() if k in ("model", "experiment", "hardware", "logger")}
    defaults = {"model": "mac", "task": "niah", "scale": "tiny", "hardware": "auto"}
    content = {"choices": defaults | given, "overrides": [*overrides, f"seed={seed}"]}
    content |= {"seed": seed, "started": "2026-01-01T00:00:00+00:00", "scores": SCORES}
    return Record(**(content | fields))  # type: ignore[arg-type]


def plan(*overrides: str, seed: int = 0) -> Record:
    """A run as `run.py` plans and records it."""
    record = niah(*overrides, seed=seed)
    return replace(record, configuration=configured(tuple(record.overrides)))


RECIPE = ("experiment=table2", "model=lmm")


@pytest.mark.parametrize(
    "record",
    [
        niah(*RECIPE),
        niah("model=lmm"),
        niah("model=lmm", "hardware=cpu", "hardware.threads=1", "logger=none"),
        niah("model=lmm", "task.prompts={niah_single_1:20}"),
    ],
    ids=lambda record: " ".join(record.overrides),
)
def test_a_record_that_fills_the_cells_is_enough(record: Record) -> None:
    assert recorded(plan(*RECIPE), [niah("model=mac"), record], [TABLE]) is record


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
    assert recorded(plan(*RECIPE), [record], [TABLE]) is None


@pytest.mark.parametrize("typed", [RECIPE, ("model=lmm", "task.steps=5")], ids=" ".join)
def test_a_record_of_another_precision_is_not_enough(typed: tuple[str, ...]) -> None:
    full, half = (replace(plan(*typed), machine={"precision": it}) for it in ("32-true", "bf16"))
    assert recorded(full, [half], [TABLE]) is None
    assert recorded(half, [full], [TABLE]) is None
    mixed = replace(half, machine={"precision": "bf16-mixed"})
    assert recorded(half, [full, mixed], [TABLE]) is mixed
    assert recorded(full, [plan(*typed), mixed], [TABLE]), "older records say none"


def test_what_is_asked_for_beside_the_recipe_is_run() -> None:
    records = [plan(*RECIPE)]
    for asked in ("task.lengths=[131072]", "task.prompts={niah_single_1:9}", "task.steps=5"):
        assert recorded(plan(*RECIPE, asked), records, [TABLE]) is None


def test_a_record_that_fills_one_of_the_recipes_tables_is_not_enough() -> None:
    """Table 5 takes one needle at one length of the runs of Table 2, which wants all."""
    tables = [*load(HERE / "table5_ablation").protocols, TABLE]
    one = replace(plan("model=lmm", "task.lengths=[16384]"), scores={"niah_single_1/16384": 50.0})
    assert recorded(plan(*RECIPE), [one], tables) is None
    for_table5 = plan("experiment=table5", "model=lmm")
    assert recorded(for_table5, [one], tables) is one
    whole = plan("model=lmm")
    assert recorded(plan(*RECIPE), [one, whole], tables) is whole


def genomics(*overrides: str, **fields: object) -> Record:
    typed = ["experiment=table4", "model=lmm", "task.fold=0", *overrides]
    content = {
        "choices": {"model": "lmm", "task": "genomics", "scale": "tiny", "experiment": "table4"},
        "settings": {"task.dataset": "human_enhancers_cohn", "task.folds": 5, "task.fold": 0},
        "overrides": [*typed, "task.dataset=human_enhancers_cohn"],
        "configuration": configured((*typed, "task.dataset=human_enhancers_cohn")),
        "scores": {"human_enhancers_cohn/cross_validated_acc": 68.0},
        "started": "2026-01-01T00:00:00+00:00",
        "seed": 0,
    }
    return Record(**(content | fields))  # type: ignore[arg-type]


def test_a_fold_that_was_scored_otherwise_is_enough() -> None:
    loaded = load(HERE / "table4_genomics")
    run = genomics()
    earlier = replace(run, configuration=run.configuration | {"evaluations": "of another day"})
    assert recorded(run, [earlier], [loaded, *loaded.protocols]) is earlier
    trained = replace(run, configuration=run.configuration | {"network": "of another day"})
    assert recorded(run, [trained], [loaded, *loaded.protocols]) is None


def test_the_same_path_may_be_another_checkpoint(tmp_path: Path) -> None:
    loaded, path = load(HERE / "table4_genomics"), tmp_path / "last.ckpt"
    found = []
    for content in (b"one", b"two"):
        path.write_bytes(content)
        configured.cache_clear()
        found.append(genomics(f"task.pretrained={path}"))
    one, two = found
    assert recorded(one, [one], [loaded, *loaded.protocols]) is one
    assert recorded(two, [one], [loaded, *loaded.protocols]) is None
    assert recorded(one, [genomics()], [loaded, *loaded.protocols]) is None


@pytest.mark.parametrize("write", [niah, plan], ids=["older", "new"])
@pytest.mark.parametrize(
    ("typed", "recorded_as"),
    [
        ("scale.lr=2e-3", "scale.lr=0.002"),
        ("scale.lr=0.004", "logger=none"),
        ("scale=tiny", "hardware.threads=1"),
        ("optimizer.lr=0.002", "scale.lr=2e-3"),
        ("task.needles.niah_single_3=0", "task.needles={niah_single_3: 0.0}"),
    ],
)
def test_two_spellings_of_a_run_are_one(
    typed: str, recorded_as: str, write: Callable[..., Record]
) -> None:
    record = write("task.steps=5", "model=lmm", recorded_as)
    assert recorded(plan("model=lmm", typed, "task.steps=5"), [record], [TABLE]) is record
    assert recorded(plan("model=lmm", typed, "task.steps=6"), [record], [TABLE]) is None


def test_without_a_recipe_its_prompts_are_another_run() -> None:
    assert recorded(plan("model=lmm"), [plan(*RECIPE)], [TABLE]) is None


@pytest.mark.parametrize("typed", [RECIPE, ("model=lmm",)], ids=" ".join)
def test_a_run_is_needed_where_conf_has_changed_since(typed: tuple[str, ...]) -> None:
    there = plan(*typed)
    assert recorded(plan(*typed), [there], [TABLE]) is there
    before = replace(there, configuration={**there.configuration, "optimizer": "another rate"})
    assert recorded(plan(*typed), [before], [TABLE]) is None


def test_a_record_whose_command_is_no_longer_known_is_none_of_ours() -> None:
    assert recorded(plan("model=lmm"), [niah("model=lmm", "task.gone=1")], [TABLE]) is None


@pytest.mark.parametrize(
    ("typed", "there"),
    [
        (RECIPE, ("model=lmm",)),
        (("model=lmm",), ("model=lmm",)),
        (("model=lmm", "experiment=table5"), ("model=lmm",)),
    ],
    ids=lambda typed: " ".join(typed),
)
def test_an_older_record_of_other_steps_is_not_enough(
    typed: tuple[str, ...], there: tuple[str, ...]
) -> None:
    tables = [TABLE, *load(HERE / "table5_ablation").protocols]
    fewer, as_many = (niah(*there, counts={"steps": steps}) for steps in (1200, 1800))
    assert recorded(plan(*typed), [fewer], tables) is None
    assert recorded(plan(*typed), [fewer, as_many], tables) is as_many
    commands = compare(TABLE, [fewer]).commands()
    assert set(commands) - set(compare(TABLE, [as_many]).commands()) == {
        "python run.py model=lmm task=niah scale=tiny seed=0"
    }


def test_a_sweep_runs_what_the_table_says_is_missing() -> None:
    records = [niah("model=lmm"), niah("experiment=table2", "model=mac"), niah("model=ttt", seed=1)]
    swept = yaml.safe_load((CONF / "experiment/table2.yaml").read_text())["hydra"]["sweeper"]
    models, seeds = (str(swept["params"][key]).split(",") for key in ("model", "seed"))
    plans = {
        (model, seed): plan("experiment=table2", f"model={model}", seed=int(seed))
        for model, seed in product(models, seeds)
    }
    left = {key for key, it in plans.items() if not recorded(it, records, [TABLE])}
    assert plans.keys() - left == {("lmm", "0"), ("mac", "0"), ("ttt", "1")}
    # One seed fills a cell of the table; a sweep is there for all of its seeds.
    missing = {f"python run.py model={model} task=niah scale=tiny seed=0" for model, seed in left
               if seed == "0" and model != "ttt"}  # fmt: skip
    assert missing == set(compare(TABLE, records).commands())
