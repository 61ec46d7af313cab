"""Refuses a setting of another type than the one it replaces, or that a task does not know."""

from collections.abc import Iterable
from itertools import accumulate
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a word"}
# What a scale says of the optimizer, and a task or an optimizer may say itself.
OF_OPTIMIZER = ("scale.lr", "scale.betas")
# What a scale says of attention, and a task may say itself.
OF_ATTENTION = ("scale.window", "scale.segment")
# Of whose settings only what takes them knows whether it does without.
GROUPS = ("model", "task", "scale", "optimizer", "logger", "backbone")


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
        # What a setting stands in is looked at too: one below a number makes a mapping of it.
        for place in accumulate(key.split("."), "{}.{}".format):
            old, new = OmegaConf.select(defaults, place), OmegaConf.select(config, place)
            looked_at = place == key or not isinstance(old, DictConfig)
            if looked_at and (wrong := _misfit(place, old, new)):
                raise ValueError(wrong)


def check_used(settings: Iterable[str], config: DictConfig) -> None:
    """Looks whether what a scale says of optimizer and attention reaches them, where it was typed.

    Raises:
        ValueError: it does not, as the task or the optimizer has its own.
    """
    for setting in settings:
        key = setting.lstrip("+").partition("=")[0]
        reach = f"task.windows.{config.scale.name}"
        if key in OF_ATTENTION and (own := OmegaConf.select(config, reach)):
            raise ValueError(
                f"{key} changes nothing here: {reach} is {own}. Set {reach} in its place"
            )
        if key not in OF_OPTIMIZER:
            continue
        other = config.copy()
        OmegaConf.update(other, key, "another")
        if _resolved(other.optimizer) != _resolved(config.optimizer):
            continue
        name = key.partition(".")[2]
        now = f"optimizer.{name} is {config.optimizer[name]}" if name in config.optimizer else ""
        instead = f"optimizer.{name}" if now else f"+optimizer.{name}"
        reason = f": {now}, whatever the scale says" if now else ""
        raise ValueError(f"{key} changes nothing here{reason}. Set {instead} in its place")


def _resolved(node: DictConfig) -> Any:
    return OmegaConf.to_container(node, resolve=True)


def typed(hydra: Any) -> list[str]:
    """The overrides of a command as they were typed, interpolations and all.

    Args:
        hydra: Hydra's own configuration.
    """
    overrides: Any = OmegaConf.to_container(hydra.overrides.task, resolve=False)
    return [str(override) for override in overrides]


def check_options(task: DictConfig) -> None:
    """Compares the settings of a task with what its `options` allow, setting -> list of values.

    Raises:
        ValueError: a setting has another value.
    """
    for key, known in (task.get("options") or {}).items():
        if isinstance(known, ListConfig) and task[key] not in known:
            listed = ", ".join(map(str, known))
            raise ValueError(f"task.{key} is {task[key]!r}, and should be one of {listed}")


def _misfit(key: str, old: Any, new: Any) -> str:
    """What is wrong with a setting in place of another, or in it; empty where it fits."""
    if old is None or (new is None and key.partition(".")[0] in GROUPS):
        return ""
    if isinstance(old, DictConfig) and isinstance(new, DictConfig):
        both: list[Any] = [name for name in old if name in new]
        inner = [(f"{key}.{name}", old[name], new[name]) for name in both]
    elif isinstance(old, ListConfig) and isinstance(new, ListConfig):
        inner = [(f"{key}[{index}]", old[0], item) for index, item in enumerate(new) if len(old)]
    elif _fits(old, new):
        return ""
    else:
        return f"{key} is {_shown(new)}, and should be {_kind(old)}"
    return next(filter(None, (_misfit(*setting) for setting in inner)), "")


def _fits(old: Any, new: Any) -> bool:
    if isinstance(old, float):
        return isinstance(new, int | float) and not isinstance(new, bool)
    return type(old) is type(new)


def _kind(value: Any) -> str:
    if isinstance(value, DictConfig):
        return f"a mapping of {', '.join(map(str, value)) or 'names'}"
    kind = "a list" if isinstance(value, ListConfig) else KINDS.get(type(value), "something else")
    return f"{kind} like {_shown(value)}"


def _shown(value: Any) -> str:
    plain = OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
    return "null" if plain is None else repr(plain)
