"""Refuses a setting that what it is given to does not take."""

import inspect
import re
from collections.abc import Iterator
from typing import Any, get_type_hints

import hydra
from omegaconf import DictConfig, OmegaConf
from pydantic import ConfigDict, PydanticUserError, TypeAdapter, ValidationError

# Whose annotations say what is taken.
OURS = ("titans.", "data.")
STRICT = ConfigDict(strict=True, arbitrary_types_allowed=True, allow_inf_nan=False)
LARGEST = 2**62
REFERENCE = re.compile(r"\$\{(?:oc\.select:)?([\w.]+)\}")


def check_arguments(config: DictConfig, *places: str) -> None:
    """Compares what is given to each class and function of ours with its annotations.

    Args:
        config: the run as composed.
        places: of the nodes that will be instantiated, e.g. `task.data`.

    Raises:
        ValueError: an argument is of another type, or is none where one is needed.
    """
    for place in places:
        node = OmegaConf.select(config, place)
        if isinstance(node, DictConfig):
            plain = OmegaConf.to_container(node, resolve=True)
            for key, target, arguments in _calls(place, plain):
                _check(config, key, target, arguments)


def _calls(key: str, node: Any) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """What is called in a node, wherever it stands: key, target, and arguments by name."""
    if not isinstance(node, dict):
        return
    if "_target_" in node:
        yield key, node["_target_"], {k: v for k, v in node.items() if not str(k).startswith("_")}
    for name, value in node.items():
        yield from _calls(f"{key}.{name}", value)


def _check(config: DictConfig, key: str, target: str, arguments: dict[str, Any]) -> None:
    if not str(target).startswith(OURS):
        return
    called = hydra.utils.get_object(target)
    known = inspect.signature(called).parameters.values()
    names = {parameter.name for parameter in known}
    others = any(parameter.kind == parameter.VAR_KEYWORD for parameter in known)
    hints = get_type_hints(
        called.__init__ if inspect.isclass(called) else called, include_extras=True
    )
    for name, value in arguments.items():
        place = _origin(config, f"{key}.{name}")
        if name not in names and not others:
            listed = ", ".join(sorted(names))
            raise ValueError(f"{key} has no setting {name}: it has {listed}")
        if any(abs(number) > LARGEST for number in _numbers(value)):
            raise ValueError(f"{place} is {value!r}, which is more than a number may be")
        if name not in hints or _makes(value):
            continue
        try:
            TypeAdapter(hints[name], config=STRICT).validate_python(value)
        except PydanticUserError:
            # A class that cannot be checked so is for the call to refuse.
            continue
        except ValidationError as error:
            said = error.errors()[0]["msg"]
            shown = "null" if value is None else repr(value)
            raise ValueError(f"{place} is {shown}: {said[0].lower()}{said[1:]}") from error


def _makes(value: Any) -> bool:
    """Whether something in it is made first."""
    if isinstance(value, dict):
        return "_target_" in value or any(map(_makes, value.values()))
    return isinstance(value, list) and any(map(_makes, value))


def _numbers(value: Any) -> Iterator[int]:
    """Every whole number in a value."""
    if isinstance(value, int):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _numbers(item)


def _origin(config: DictConfig, key: str) -> str:
    """The setting that a key, or the node that it stands in, takes its value from."""
    parts = key.split(".")
    for count in range(1, len(parts) + 1):
        *parent, name = parts[:count]
        node = OmegaConf.select(config, ".".join(parent)) if parent else config
        if isinstance(node, DictConfig) and OmegaConf.is_interpolation(node, name):
            raw: Any = OmegaConf.to_container(node, resolve=False)
            if found := REFERENCE.fullmatch(raw[name]):
                return _origin(config, ".".join([found[1], *parts[count:]]))
    return key
