"""A trained language model and how it reads text, from its checkpoint alone."""

from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from titans.models import LanguageModel
from titans.tasks.checkpoint import load_checkpoint

NETWORK = "network."


class Reading(NamedTuple):
    """How a model reads text.

    Attributes:
        tokenizer: its pieces, as a `tokenizer.json` has them.
        end: the token behind every document it was trained on.
        length: tokens of the sequences it was trained on.
    """

    tokenizer: str
    end: int
    length: int


def load_reading(path: str | Path) -> Reading:
    """Reads how the language model of a checkpoint reads text.

    Raises:
        ValueError: it is no checkpoint, or not of task=lm.
    """
    return _reading(load_checkpoint(path), path)


def load_trained(path: str | Path) -> tuple[LanguageModel, Reading]:
    """Builds the network of a checkpoint, with its weights, and reads how it reads text.

    Raises:
        ValueError: it is no checkpoint, not of task=lm, or names code outside of `titans`.
    """
    checkpoint = load_checkpoint(path)
    reading = _reading(checkpoint, path)
    network = build(yaml.safe_load(checkpoint["run"]["network"]))
    assert isinstance(network, LanguageModel)
    weights = checkpoint["state_dict"]
    own = {k.removeprefix(NETWORK): v for k, v in weights.items() if k.startswith(NETWORK)}
    network.load_state_dict(own)
    return network.eval(), reading


def _reading(checkpoint: dict[str, Any], path: str | Path) -> Reading:
    """What the data of the training left in its checkpoint."""
    kept = checkpoint.get("LanguageData")
    if kept is None:
        raise ValueError(
            f"{path} does not say how its model reads text: take a checkpoint of task=lm; an "
            "older one has it once its training went on for a step (resume=true)"
        )
    return Reading(kept["tokenizer"], kept["end"], kept["length"])


def build(described: Any) -> Any:
    """Makes what a configuration describes, by its `_target_` and `_partial_`.

    Raises:
        ValueError: a target lies outside of `titans`. A checkpoint may come from anywhere, and
            could name any function.
    """
    if isinstance(described, list):
        return [build(part) for part in described]
    if not isinstance(described, dict):
        return described
    made = {name: build(part) for name, part in described.items()}
    target, bound = made.pop("_target_", None), made.pop("_partial_", False)
    if target is None:
        return made
    module, _, name = target.rpartition(".")
    if not module.startswith("titans."):
        raise ValueError(f"the network of the checkpoint needs {target}, which is not of titans")
    make = getattr(import_module(module), name)
    return partial(make, **made) if bound else make(**made)
