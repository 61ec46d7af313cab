"""Refuses a setting of another type than the one it replaces, or that a task does not know."""

from collections.abc import Iterable
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a word"}


def check_types(settings: Iterable[str], config: DictConfig, defaults: DictConfig) -> None:
    """Compares each overridden setting with its default.

    Args:
        settings: overrides as typed, e.g. `task.steps=100`.
        config: the run as composed.
        defaults: the same groups without those settings.

    Raises:
        ValueError: a setting has a type that its default does not have.
    """
    for setting in settings:
        if setting.startswith("~"):
            continue
        key = setting.lstrip("+").partition("=")[0]
        old, new = OmegaConf.select(defaults, key), OmegaConf.select(config, key)
        # Only what takes a value knows whether it does without.
        if old is not None and new is not None and not _fits(old, new):
            raise ValueError(f"{key} is {new!r}, and should be {_kind(old)} like {_plain(old)!r}")


def check_options(task: DictConfig) -> None:
    """Compares the settings of a task with what its `options` allow, setting -> values.

    Raises:
        ValueError: a setting has another value.
    """
    for key, known in task.get("options", {}).items():
        if task[key] not in known:
            listed = ", ".join(map(str, known))
            raise ValueError(f"task.{key} is {task[key]!r}, and should be one of {listed}")


def _fits(old: Any, new: Any) -> bool:
    if isinstance(old, DictConfig):
        return isinstance(new, DictConfig) and all(
            _fits(old[key], new[key]) for key in old if old[key] is not None and key in new
        )
    if isinstance(old, ListConfig):
        return isinstance(new, ListConfig) and all(_fits(old[0], x) for x in new if len(old))
    if isinstance(old, float):
        return isinstance(new, int | float) and not isinstance(new, bool)
    return type(old) is type(new)


def _kind(value: Any) -> str:
    if isinstance(value, DictConfig | ListConfig):
        return "a mapping" if isinstance(value, DictConfig) else "a list"
    return KINDS.get(type(value), type(value).__name__)


def _plain(value: Any) -> Any:
    return OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
