"""What a language model has learned, taken over by a classifier."""

from typing import Any

import yaml
from torch import nn

from titans.models import Classifier
from titans.tasks.checkpoint import load_checkpoint
from titans.tasks.task import shape, words

PRETRAINING = "genomics_pretrain"
PREFIX = "network."


def take_pretrained(network: nn.Module, path: str, run: dict[str, Any]) -> None:
    """Load embedding and backbone of a pre-trained language model into a classifier.

    Args:
        network: a classifier that reads with a language model; its head stays as it is.
        path: a checkpoint of `task=genomics_pretrain`.
        run: what this run is; see `Task`.

    Raises:
        ValueError: the checkpoint is none, or of another task, model, scale or settings.
    """
    if not isinstance(network, Classifier):
        raise ValueError("task.pretrained is for stacks of mixers: choose model=lmm, mac, hyena …")
    checkpoint = load_checkpoint(path)
    theirs, ours = checkpoint["run"], run
    task = theirs.get("choices", {}).get("task")
    if task != PRETRAINING:
        raise ValueError(f"{path} is of task={task}: task.pretrained takes task={PRETRAINING}")
    if words(theirs) != words(ours):
        raise ValueError(
            f"{path} is of {words(theirs)}, and this run is {words(ours)}: choose the same groups, "
            "or another checkpoint"
        )
    weights = {
        name.removeprefix(PREFIX): weight
        for name, weight in checkpoint["state_dict"].items()
        if name.startswith(PREFIX)
    }
    own = network.reader.state_dict()
    differing = {k for k in weights.keys() | own.keys() if shape(weights, k) != shape(own, k)}
    typed = " ".join(theirs.get("overrides", [])) or "none"
    if differing:
        raise ValueError(
            f"{path} is of {words(theirs)} with other settings: {min(differing)} and "
            f"{len(differing) - 1} more weights differ; give those it was trained with ({typed})"
        )
    if _backbone(theirs) != _backbone(ours):
        raise ValueError(
            f"{path} is of {words(theirs)} with other settings of the backbone: give those it was "
            f"trained with ({typed})"
        )
    network.reader.load_state_dict(weights)


def _backbone(run: dict[str, Any]) -> Any:
    return (yaml.safe_load(run.get("network", "")) or {}).get("backbone")
