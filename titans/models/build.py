"""A network from its description, as checkpoints and exported folders carry it."""

from functools import partial
from importlib import import_module
from typing import Any

# What networks are made of. Nothing else is made, since a description may come from anywhere.
PACKAGES = ("titans.models", "titans.mixers", "titans.memory")


def build(described: Any) -> Any:
    """Makes what a description says, by its `_target_` and `_partial_`, inside out.

    Args:
        described: a tree of mappings, lists and plain values; a mapping with a `_target_` is an
            instance of that class, or with `_partial_` what makes one.

    Raises:
        ValueError: a target is no class of our networks, or cannot be made as described.
    """
    if isinstance(described, list):
        return [build(part) for part in described]
    if not isinstance(described, dict):
        return described
    made = {name: build(part) for name, part in described.items()}
    target, bound = made.pop("_target_", None), made.pop("_partial_", False)
    if target is None:
        return made
    make = partial(_class(target), **made)
    try:
        return make if bound else make()
    except TypeError as error:
        raise ValueError(f"{target} cannot be made as described: {error}") from error


def _class(target: Any) -> type:
    """The class of that name."""
    module, _, name = str(target).rpartition(".")
    if any(f"{module}.".startswith(f"{package}.") for package in PACKAGES):
        try:
            found = getattr(import_module(module), name)
        except (ImportError, AttributeError):
            found = None
        # A module's names are also what it imports of others.
        if isinstance(found, type) and found.__module__.startswith(PACKAGES):
            return found
    raise ValueError(
        f"the description of the network names {target}, which is no class of "
        f"{', '.join(PACKAGES)}: nothing else is executed; take a file that this version wrote"
    )
