"""What every objective keeps in a checkpoint."""

from functools import partial
from typing import Any

import torch

from titans.tasks.task import Task


def saved(task: Task) -> dict[str, Any]:
    checkpoint = {"state_dict": task.state_dict(), "global_step": 3}
    task.on_save_checkpoint(checkpoint)
    return checkpoint


def test_a_run_that_goes_on_has_taken_what_it_took_before() -> None:
    make = partial(Task, torch.nn.Linear(2, 2), torch.optim.SGD)
    checkpoint = saved(make()) | {"seconds": 1000.0}
    goes_on, scored = make(), make()
    goes_on.on_load_checkpoint(checkpoint)
    scored.restore(checkpoint)
    assert 1000 < saved(goes_on)["seconds"] < 1100
    assert saved(scored)["seconds"] < 100, "what another run took is not its own"
