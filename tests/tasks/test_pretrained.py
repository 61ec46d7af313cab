"""What a classifier takes over of a language model, and what it refuses."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from titans.mixers import Mamba
from titans.models import Backbone, Classifier, LanguageModel
from titans.tasks import Classify, NextToken

DIM = 8


def backbone(layers: int = 1, state: int = 4) -> Backbone:
    return Backbone(DIM, layers, {"mamba": partial(Mamba, DIM, state=state)})


def run(task: str, **changes: Any) -> dict[str, Any]:
    """What a run notes of itself; the backbone's settings are part of it."""
    choices = {"model": "mamba", "scale": "tiny", "task": task} | changes.pop("choices", {})
    settings = {"dim": DIM, "window": 3} | changes
    return {
        "choices": choices,
        "overrides": ["model=mamba"],
        "network": f"vocabulary: 6\nbackbone: {settings}\n",
    }


def saved(folder: Path, task: str = "genomics_pretrain", **changes: Any) -> Path:
    torch.manual_seed(1)
    network = LanguageModel(changes.pop("vocabulary", 6), backbone())
    trained = NextToken(network, torch.optim.Adam, steps=1, warmup=0, run=run(task, **changes))
    path = folder / "pretrained.ckpt"
    torch.save({"state_dict": trained.state_dict(), "run": trained.run}, path)
    return path


def classify(path: Path | None, **settings: Any) -> Classify:
    torch.manual_seed(2)
    network = settings.get("network") or Classifier(6, 5, 2, backbone(settings.get("layers", 1)))
    return Classify(
        network,
        torch.optim.Adam,
        epochs=1,
        pretrained=str(path) if path else None,
        run=run("genomics"),
    )


def test_embedding_and_backbone_are_taken_over_and_the_head_is_not(tmp_path: Path) -> None:
    path = saved(tmp_path)
    task, scratch = classify(path), classify(None)
    weights = torch.load(path, weights_only=True)["state_dict"]
    reader = task.network.reader.state_dict()  # type: ignore[operator, union-attr]
    assert reader.keys() == {name.removeprefix("network.") for name in weights}
    assert all(torch.equal(reader[name.removeprefix("network.")], w) for name, w in weights.items())
    ours, theirs = task.network.head, scratch.network.head
    assert torch.equal(ours.weight, theirs.weight)  # type: ignore[union-attr, arg-type]
    # The best weights, too, are these until the first validation.
    best = task.best.reader.state_dict()  # type: ignore[operator, union-attr]
    assert all(torch.equal(best[name], reader[name]) for name in reader)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"task": "niah"}, "task=niah: task.pretrained takes task=genomics_pretrain"),
        ({"task": "genomics"}, "task=genomics: task.pretrained"),
        ({"choices": {"model": "lmm"}}, "model=lmm scale=tiny, and this run is model=mamba"),
        ({"choices": {"scale": "170m"}}, "scale=170m, and this run"),
        ({"vocabulary": 12}, "other settings: embedding.weight and 0 more"),
        ({"window": 4}, r"settings of the backbone: .*\(model=mamba\)"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused(changes: dict[str, Any], named: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=named):
        classify(saved(tmp_path, **changes))


def test_another_depth_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"with other settings: backbone\.blocks\.1"):
        classify(saved(tmp_path), layers=2)


def test_no_checkpoint_and_no_stack_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no checkpoint"):
        classify(tmp_path / "none.ckpt")
    with pytest.raises(ValueError, match="stacks of mixers"):
        classify(saved(tmp_path), network=nn.Linear(1, 1))
