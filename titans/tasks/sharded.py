"""Weights, gradients and averages divided among the processes (FSDP2); checkpoints that are whole.

A checkpoint is one file with all of it, as one process writes it, and a run goes on from it on any
number of them. Torch's own format of many files has a pickle among them, which we do not read.
"""

import copy
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.core.optimizer import LightningOptimizer
from lightning.pytorch.strategies import ModelParallelStrategy
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method
from torch.optim import Optimizer

from titans.models import LanguageModel
from titans.tasks.processes import leads

# As one process has it, in the memory of rank zero.
WHOLE = StateDictOptions(full_state_dict=True, cpu_offload=True)


class Sharded(ModelParallelStrategy):
    """Divides the data and the model among all processes."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(save_distributed_checkpoint=False, tensor_parallel_size=1, **settings)

    def setup_environment(self) -> None:
        """Divides among all processes, on whichever machine."""
        self._data_parallel_size = self.num_nodes * self.num_processes
        super().setup_environment()

    def optimizer_state(self, optimizer: Optimizer) -> dict[str, Any]:
        """The whole state, its parameters numbered in the order of the optimiser's groups."""
        plain = optimizer._optimizer if isinstance(optimizer, LightningOptimizer) else optimizer
        assert self.model is not None
        found = get_optimizer_state_dict(self.model, plain, options=WHOLE)
        if not found:
            # Rank zero has it.
            return found
        return _renamed(found, {name: at for at, name in enumerate(_names(found))})

    def load_checkpoint(
        self, checkpoint_path: str | Path, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Takes weights and averages of a whole checkpoint, executing nothing that is in it."""
        found: dict[str, Any] = torch.load(
            self.broadcast(checkpoint_path), map_location="cpu", weights_only=True, mmap=True
        )
        options = StateDictOptions(full_state_dict=True)
        assert self.model is not None
        set_model_state_dict(self.model, found["state_dict"], options=options)
        for optimizer, state in zip(self.optimizers, found["optimizer_states"], strict=True):
            names = _names(get_optimizer_state_dict(self.model, optimizer))
            named = _renamed(state, dict(enumerate(names)))
            set_optimizer_state_dict(self.model, optimizer, named, options=options)
        return found


def _names(state: dict[str, Any]) -> list[Any]:
    return [name for group in state["param_groups"] for name in group["params"]]


def _renamed(state: dict[str, Any], names: dict[Any, Any]) -> dict[str, Any]:
    groups = [g | {"params": [names[p] for p in g["params"]]} for g in state["param_groups"]]
    return {"state": {names[p]: s for p, s in state["state"].items()}, "param_groups": groups}


def shard(network: LanguageModel, mesh: DeviceMesh | None) -> Callable[[], LanguageModel]:
    """Divides each block, and what is around the blocks, among the processes.

    Returns:
        What puts the weights together again, called by all processes: on rank zero it returns a
        network that is whole, in the memory of the machine, and elsewhere the divided one.
    """
    # Whatever takes the output of a block adds to it out of place.
    warnings.filterwarnings("ignore", message="FSDP2-wrapped module")
    whole = copy.deepcopy(network).cpu() if leads() else None
    assert mesh is not None
    along = mesh["data_parallel"]
    for block in network.backbone.blocks:
        fully_shard(block, mesh=along)
    fully_shard(network, mesh=along)
    register_fsdp_forward_method(network, "answers")

    def gather() -> LanguageModel:
        state = get_model_state_dict(network, options=WHOLE)
        if whole is None:
            return network
        whole.load_state_dict(state)
        return whole

    return gather
