"""What this process computes with."""

import logging
import warnings
from typing import Any

import torch
from lightning import Trainer, seed_everything

from titans.memory import compile_chunks
from titans.memory.compilation import wanted
from titans.ops import kernels
from titans.tasks.processes import leads


def settle(*, seed: int, threads: int | None, use_kernels: bool | None, compiled: bool) -> None:
    """Sets what holds for the process.

    Args:
        seed: of every generator.
        threads: of torch; None for its own choice.
        use_kernels: as `titans.ops.kernels.force` takes it.
        compiled: whether the memory is compiled.
    """
    for library in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(library).setLevel(logging.ERROR)
    if not leads():
        logging.getLogger().setLevel(logging.WARNING)
    # Lightning's remarks on itself: its use of a deprecated type, our choice of workers.
    warnings.filterwarnings("ignore", module="lightning")
    seed_everything(seed, verbose=False)
    if threads:
        torch.set_num_threads(threads)
    kernels.force(use_kernels)
    compile_chunks(compiled)


def device(trainer: Trainer) -> dict[str, Any]:
    """What computes, as its driver calls it, and how."""
    root = trainer.strategy.root_device
    name = torch.cuda.get_device_name(root) if root.type == "cuda" else root.type
    facts = {"device": name, "threads": torch.get_num_threads(), "precision": trainer.precision}
    facts |= {"processes": trainer.world_size} if trainer.world_size > 1 else {}
    return facts | ({"compiled": True} if wanted() else {})
