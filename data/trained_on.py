"""Whether a checkpoint was trained on the data of this run."""

from collections.abc import Mapping
from typing import Any


def refuse_other(kept: Mapping[str, Any], own: Mapping[str, Any]) -> None:
    """Compare settings of the training with those of this run; what was not kept is let pass.

    Raises:
        ValueError: one differs.
    """
    for setting, value in own.items():
        if kept.get(setting, value) != value:
            raise ValueError(
                f"the checkpoint was trained with {setting}={kept[setting]}, and this run has "
                f"{setting}={value}: set it as it was, or take another checkpoint"
            )
