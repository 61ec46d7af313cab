"""What a training would take, before anything of it is computed."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from titans.models import LanguageModel
from titans.models.flops import flops_per_token
from titans.tasks import Sharded

# Of a parameter, its gradient and AdamW's two averages, in float32.
TRAINED = 16


class Kept(NamedTuple):
    """Bytes that one sequence needs."""

    state: int
    activations: int


class Plan:
    """Parameters, tokens, steps, memory, operations and hours of a training.

    Args:
        length: tokens of a sequence.
        step_tokens: of an optimiser step.
        steps: optimiser steps.
        batch: sequences that a device goes through at once, at most.
        precision: as the trainer calls it.
        devices: how many on each machine.
        machines: how many of these.
        strategy: as the trainer takes it; `Sharded` leaves a device a part of the weights.
        machine: `name` of a device, its memory in `gigabytes`, its peak in `teraflops`, and the
            `share` of that which is reached: assumed, not measured.
        tbptt: tokens of a segment of truncated back-propagation; None for whole sequences.
        recompute: whether each block is computed again for its gradient.
    """

    def __init__(
        self,
        *,
        length: int,
        step_tokens: int,
        steps: int,
        batch: int,
        precision: str,
        devices: int | str,
        machine: dict[str, Any],
        machines: int = 1,
        strategy: Any = "auto",
        tbptt: int | None = None,
        recompute: bool = False,
    ) -> None:
        self.length, self.step_tokens, self.steps = length, step_tokens, steps
        self.batch, self.machine, self.recompute = batch, machine, recompute
        self.segment = min(tbptt or length, length)
        self.half = str(precision).startswith(("bf16", "16"))
        self.sharded = isinstance(strategy, Sharded)
        self.devices = machines * (devices if isinstance(devices, int) and devices > 0 else 1)

    def lines(self, network: LanguageModel, accumulate: int) -> Iterator[str]:
        """What there is to know, a line each.

        Args:
            network: made in `FakeTensorMode`, so that it takes no memory.
            accumulate: batches of a step on each device, each segment one.
        """
        tokens = self.steps * self.step_tokens
        parameters = sum(p.numel() for p in network.parameters())
        embedding = network.embedding.weight.numel()
        segments = self.length // self.segment
        batch = self.step_tokens // self.length * segments // accumulate // self.devices
        kept = self.kept(network)
        flops = flops_per_token(network, self.length)
        again = 4 / 3 if self.recompute else 1
        weights = TRAINED * parameters // (self.devices if self.sharded else 1)
        held = weights + batch * (kept.activations + kept.state)
        rate = self.devices * self.machine["teraflops"] * 1e12 * self.machine["share"]
        yield f"parameters   {parameters:,} ({embedding:,} of them the embedding)"
        yield f"tokens       {tokens:,}"
        yield f"steps        {self.steps:,} of {self.step_tokens:,} tokens"
        yield (
            f"accumulation {accumulate:,} batches of {batch} x {self.segment:,} tokens on each of "
            f"{self.devices} devices"
        )
        share = " (a device's share)" if self.sharded else ""
        yield f"weights      {_size(weights)} with gradients and AdamW's averages{share}"
        yield f"state        {_size(kept.state)} a sequence, after {self.length:,} tokens"
        yield f"activations  {_size(batch * kept.activations)} a batch"
        yield f"operations   {flops:.3g} a token, {flops * tokens:.3g} in all"
        yield (
            f"time         {_time(again * flops * tokens / rate)} on {self.devices} x "
            f"{self.machine['name']}, if {self.machine['share']:.0%} of "
            f"{self.machine['teraflops']:g} TFLOP/s are reached (assumed, not measured)"
        )
        if held > self.machine["gigabytes"] * 1e9:
            yield (
                f"It does not fit: together {_size(held)} on a device of "
                f"{self.machine['gigabytes']:g} GB. Set a smaller hardware.micro_batch, "
                "hardware.activation_checkpointing=true, task.tbptt to the tokens of a segment, or "
                + ("more devices" if self.sharded else "hardware=fsdp, which divides the weights")
            )

    def kept(self, network: LanguageModel) -> Kept:
        """Bytes of the state after one sequence, and of what the gradient of a segment keeps.

        One block of each kind is gone through with tensors that hold no numbers; the others of its
        kind are as large. Of the output the logits are kept, and their softmax in float32.
        """
        groups = list(kinds(network).values())
        sizes = [(self.kept_by(blocks[0]), len(blocks)) for blocks in groups]
        activations = sum(size.activations * count for size, count in sizes)
        if self.recompute:
            inputs = 4 * self.segment * network.backbone.dim * sum(map(len, groups))
            activations = inputs + max(size.activations for size, _ in sizes)
        state = sum(size.state * count for size, count in sizes)
        return Kept(state, activations + self.output(network))

    def output(self, network: LanguageModel) -> int:
        """Bytes of a segment's logits, and of their softmax in float32."""
        return self.segment * network.embedding.num_embeddings * (12 if not self.half else 10)

    def kept_by(self, block: Any) -> Kept:
        """Bytes of a block's state after one sequence, and of what a segment's gradient keeps."""
        one, two = (self._held(block, sequences, self.segment) for sequences in (1, 2))
        # What does not grow with the batch, as weights in half precision, is no sequence's.
        activations, state = two.activations - one.activations, two.state - one.state
        if self.segment < self.length:
            one, two = (self._held(block, sequences, self.length) for sequences in (1, 2))
            state = two.state - one.state
        return Kept(state, activations)

    def _held(self, block: Any, sequences: int, time: int) -> Kept:
        mode = next(block.parameters()).fake_mode
        assert isinstance(mode, FakeTensorMode)
        with mode, Living() as living, torch.autocast("cpu", torch.bfloat16, enabled=self.half):
            shape = sequences, time, block.mixer_norm.weight.shape[0]
            y, state = block(torch.zeros(shape, requires_grad=True))
            states = sum(_bytes(x) for x in tree_leaves(state) if isinstance(x, Tensor))
            # The output is the input of the next block, which counts it.
            gradient = y.grad_fn
            del y, state
            activations = living.bytes()
            del gradient
        return Kept(states, activations)


class Living(TorchDispatchMode):
    """Tells what is alive of the memory that was taken since it was entered."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.taken: dict[int, tuple[StorageWeakRef, int]] = {}

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        found = function(*args, **(kwargs or {}))
        for storage in (x.untyped_storage() for x in tree_leaves(found) if isinstance(x, Tensor)):
            self.taken[storage._cdata] = StorageWeakRef(storage), storage.nbytes()
        return found

    def bytes(self) -> int:
        """Of all that something still refers to."""
        return sum(size for reference, size in self.taken.values() if not reference.expired())


def kinds(network: LanguageModel) -> dict[type, list[Any]]:
    """The blocks of a network by their mixer."""
    found: dict[type, list[Any]] = {}
    for block in network.backbone.blocks:
        found.setdefault(type(block.mixer), []).append(block)
    return found


def _bytes(x: Tensor) -> int:
    return x.numel() * x.element_size()


def _time(seconds: float) -> str:
    return f"{seconds / 3600:,.1f} hours" if seconds > 360 else f"{seconds:,.1f} seconds"


def _size(count: int) -> str:
    """Bytes in a unit that leaves few digits."""
    for unit in ("bytes", "KB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count = count / 1000  # type: ignore[assignment]
    return f"{count:,.3g} GB"
