import pytest
from omegaconf import OmegaConf

from experiments.overrides import check_types, typed

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
