"""A trained language model and how it reads text, from its checkpoint alone."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from titans.models import LanguageModel, build
from titans.tasks.checkpoint import load_checkpoint

NETWORK = "network."
# Where Lightning keeps what the data of task=lm says of itself.
KEPT = "LanguageData"


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
    return reading_of(load_checkpoint(path), path)


def load_trained(path: str | Path) -> tuple[LanguageModel, Reading]:
    """Builds the network of a checkpoint, with its weights, and reads how it reads text.

    Raises:
        ValueError: it is no checkpoint, not of task=lm, or names code outside of `titans`.
    """
    checkpoint = load_checkpoint(path)
    reading = reading_of(checkpoint, path)
    network = build(yaml.safe_load(checkpoint["run"]["network"]))
    assert isinstance(network, LanguageModel)
    weights = checkpoint["state_dict"]
    own = {k.removeprefix(NETWORK): v for k, v in weights.items() if k.startswith(NETWORK)}
    network.load_state_dict(own)
    return network.eval(), reading


def reading_of(checkpoint: dict[str, Any], path: str | Path) -> Reading:
    """What the data of the training left in its checkpoint.

    Raises:
        ValueError: nothing, as other tasks do not read text as a language model does.
    """
    reading = reading_in(checkpoint)
    if reading is None:
        task = checkpoint["run"].get("choices", {}).get("task")
        raise ValueError(
            f"{path}, of task={task}, does not say how its model reads text: take a checkpoint of "
            "task=lm; an older one has it once its training went on for a step (resume=true)"
        )
    return reading


def reading_in(checkpoint: dict[str, Any]) -> Reading | None:
    """The same; None where the checkpoint is of a task that does not read text."""
    kept = checkpoint.get(KEPT)
    return Reading(kept["tokenizer"], kept["end"], kept["length"]) if kept else None


def pieces(tokenizer: str) -> dict[str, Any]:
    """What of a `tokenizer.json` decides how text is cut."""
    content: dict[str, Any] = json.loads(tokenizer)
    return {name: content.get(name) for name in ("normalizer", "pre_tokenizer", "model")}
