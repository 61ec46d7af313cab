"""What a training would take, before anything of it is computed."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd.graph import saved_tensors_hooks
from torch.utils._pytree import tree_leaves

from titans.models import LanguageModel
from titans.models.flops import flops_per_token

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
        devices: how many.
        machine: `name` of a device, its peak in `teraflops`, and the `share` of that which is
            reached: assumed, not measured.
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
    ) -> None:
        self.length, self.step_tokens, self.steps = length, step_tokens, steps
        self.batch, self.machine = batch, machine
        self.half = str(precision).startswith(("bf16", "16"))
        self.devices = devices if isinstance(devices, int) and devices > 0 else 1

    def lines(self, network: LanguageModel, accumulate: int) -> Iterator[str]:
        """What there is to know, a line each.

        Args:
            network: made in `FakeTensorMode`, so that it takes no memory.
            accumulate: batches of a step on each device.
        """
        tokens = self.steps * self.step_tokens
        parameters = sum(p.numel() for p in network.parameters())
        embedding = network.embedding.weight.numel()
        batch = self.step_tokens // self.length // accumulate // self.devices
        kept = self.kept(network)
        flops = flops_per_token(network, self.length)
        rate = self.devices * self.machine["teraflops"] * 1e12 * self.machine["share"]
        yield f"parameters   {parameters:,} ({embedding:,} of them the embedding)"
        yield f"tokens       {tokens:,}"
        yield f"steps        {self.steps:,} of {self.step_tokens:,} tokens"
        yield (
            f"accumulation {accumulate:,} batches of {batch} x {self.length:,} tokens on each of "
            f"{self.devices} devices"
        )
        yield f"weights      {_size(TRAINED * parameters)} with gradients and AdamW's averages"
        yield f"state        {_size(kept.state)} a sequence, after {self.length:,} tokens"
        yield f"activations  {_size(batch * kept.activations)} a batch"
        yield f"operations   {flops:.3g} a token, {flops * tokens:.3g} in all"
        yield (
            f"time         {_time(flops * tokens / rate)} on {self.devices} x "
            f"{self.machine['name']}, if {self.machine['share']:.0%} of "
            f"{self.machine['teraflops']} TFLOP/s are reached (assumed, not measured)"
        )

    def kept(self, network: LanguageModel) -> Kept:
        """Bytes of the state after one sequence, and of what its gradient keeps.

        One block of each kind is gone through with tensors that hold no numbers; the others of its
        kind are as large. Of the output the logits are kept, and their softmax in float32.
        """
        sizes = [(self.kept_by(blocks[0]), len(blocks)) for blocks in kinds(network).values()]
        return Kept(
            sum(size.state * count for size, count in sizes),
            sum(size.activations * count for size, count in sizes) + self.output(network),
        )

    def output(self, network: LanguageModel) -> int:
        """Bytes of a sequence's logits, and of their softmax in float32."""
        return self.length * network.embedding.num_embeddings * (12 if not self.half else 10)

    def kept_by(self, block: Any) -> Kept:
        """Bytes of a block's state after one sequence, and of what its gradient keeps."""
        seen: dict[int, Tensor] = {}

        def keep(x: Tensor) -> Tensor:
            seen[id(x.untyped_storage())] = x
            return x

        weights = {id(p.untyped_storage()) for p in block.parameters()}
        mode = next(block.parameters()).fake_mode
        assert isinstance(mode, FakeTensorMode)
        with mode, torch.autocast("cpu", torch.bfloat16, enabled=self.half):
            x = torch.zeros(1, self.length, block.mixer_norm.weight.shape[0], requires_grad=True)
            with saved_tensors_hooks(keep, lambda x: x):
                _, state = block(x)
        activations = (x for storage, x in seen.items() if storage not in weights)
        states = (leaf for leaf in tree_leaves(state) if isinstance(leaf, Tensor))
        return Kept(sum(map(_bytes, states)), sum(map(_bytes, activations)))


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
