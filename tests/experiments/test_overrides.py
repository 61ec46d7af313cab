from collections.abc import Callable

import pytest
from omegaconf import DictConfig, OmegaConf

from experiments.overrides import check_types, check_used, typed

DEFAULTS = OmegaConf.create(
    {
        "steps": 10,
        "rate": 0.1,
        "name": "x",
        "flag": False,
        "file": None,
        "lengths": [2048],
        "prompts": {"a": 1, "b": 2},
        "scale": {"lr": 0.1},
    }
)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("steps", 3),
        ("rate", 1),
        ("name", "y"),
        ("flag", True),
        ("file", "some.txt"),
        ("file", 3),
        ("scale", {"lr": None}),
        ("lengths", [1, 2]),
        ("lengths", []),
        ("prompts", {"a": 5}),
    ],
)
def test_the_same_type_passes(key: str, value: object) -> None:
    config = OmegaConf.merge(DEFAULTS, {key: value})
    check_types([f"{key}={value}"], config, DEFAULTS)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("steps", "abc"),
        ("steps", 1.5),
        ("steps", True),
        ("rate", "fast"),
        ("rate", None),
        ("name", 3),
        ("flag", 1),
        ("lengths", 5),
        ("lengths", ["long"]),
        ("prompts", 5),
        ("prompts", {"a": "many"}),
    ],
)
def test_another_type_is_refused_by_name(key: str, value: object) -> None:
    config = OmegaConf.create({**OmegaConf.to_container(DEFAULTS), key: value})
    with pytest.raises(ValueError, match=rf"{key}(\[0\]|\.a)? is .* and should be"):
        check_types([f"{key}={value}"], config, DEFAULTS)


def test_a_number_has_nothing_below_it() -> None:
    config = OmegaConf.create({**OmegaConf.to_container(DEFAULTS), "steps": {"more": 1}})
    with pytest.raises(ValueError, match=r"steps is {'more': 1}, and should be a whole number"):
        check_types(["+steps.more=1"], config, DEFAULTS)


def test_interpolations_stay_as_they_were_typed() -> None:
    hydra = OmegaConf.create({"overrides": {"task": ["a=${scale.dim}", "b=1"]}})
    assert typed(hydra) == ["a=${scale.dim}", "b=1"]


def test_added_and_removed_keys_have_no_default_to_differ_from() -> None:
    check_types(["+new=1"], OmegaConf.merge(DEFAULTS, {"new": 1}), DEFAULTS)


@pytest.mark.parametrize(
    ("command", "mend"),
    [
        ("task=genomics scale.lr=0.5", "optimizer.lr is 0.002, .* Set optimizer.lr"),
        ("task=timeseries scale.lr=0.5", "optimizer.lr is 0.001, .* Set optimizer.lr"),
        ("task=lm scale.lr=0.5 optimizer.lr=0.1", "optimizer.lr is 0.1, .* Set optimizer.lr"),
        ("task=niah model=lmm scale.lr=0.5", "optimizer.lr is 0.002, .* Set optimizer.lr"),
        ("task=niah scale.window=16", "task.windows.tiny is 32.* Set task.windows.tiny"),
        ("task=timeseries scale.betas=[0.9,0.95]", r"nothing here\. Set \+optimizer.betas"),
        ("task=niah optimizer=adam scale.betas=[0.9,0.95]", r"Set \+optimizer.betas"),
    ],
)
def test_what_the_optimizer_does_not_take_from_the_scale_is_refused(
    compose: Callable[..., DictConfig], command: str, mend: str
) -> None:
    with pytest.raises(ValueError, match=mend):
        check_used(command.split(), compose(*command.split()))


@pytest.mark.parametrize(
    "command",
    [
        "task=niah scale=small scale.lr=0.5 scale.betas=[0.9,0.95]",
        "task=niah model=mamba2 scale.lr=0.004",
        "task=lm optimizer=adam scale.lr=0.5",
        "task=genomics scale.betas=[0.9,0.95]",
        "task=timeseries optimizer.lr=0.1 +optimizer.betas=[0.9,0.95]",
        "experiment=language scale.lr=0.5",
    ],
)
def test_what_the_optimizer_takes_passes(compose: Callable[..., DictConfig], command: str) -> None:
    check_used(command.split(), compose(*command.split()))


@pytest.mark.parametrize("fact", ["gigabytes=40.5", "teraflops=15.7", "teraflops=312"])
def test_a_machine_may_have_a_fraction(compose: Callable[..., DictConfig], fact: str) -> None:
    setting = f"hardware.machine.{fact}"
    check_types([setting], compose(setting), compose())
