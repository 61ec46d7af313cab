"""Floating-point operations of a language model for one token, by formula."""

from functools import singledispatch

from torch import nn

from titans.memory import NeuralMemory
from titans.memory.flops import flops_per_token as memory_flops
from titans.mixers.attention import Attention
from titans.mixers.mac import MAC
from titans.models.language import LanguageModel


def flops_per_token(network: LanguageModel, length: int, *, gradient: bool = True) -> float:
    """Multiplications and additions of the matrix products for one token.

    Linear maps, attention, the memory's work on a chunk, and the output over the vocabulary.
    Elementwise work, short convolutions and the recurrences of the baselines (a few percent; in
    Hyena, whose mixing is a convolution as long as the sequence, more) are left out, and what a
    gradient computes again. A gradient costs two products for each.

    Args:
        network: the model; its parameters need hold no numbers.
        length: tokens of a sequence.
        gradient: whether the backward pass is counted too.
    """
    output = 2 * network.embedding.weight.numel()
    forward = output + sum(_within(module, length) for module in network.backbone.children())
    return (3 if gradient else 1) * float(forward)


def _within(module: nn.Module, length: int) -> float:
    """Of a module, and of those in it that are not part of what it counts itself."""
    own = _own(module, length)
    inside = () if isinstance(module, NeuralMemory) else module.children()
    return own + sum(_within(child, length) for child in inside)


@singledispatch
def _own(module: nn.Module, length: int) -> float:
    return 0.0


@_own.register
def _(module: nn.Linear, length: int) -> float:
    return 2.0 * module.weight.numel()


@_own.register
def _(module: NeuralMemory, length: int) -> float:
    hidden, head = module.initial[0].shape[1:]
    return memory_flops(
        head * module.heads,
        heads=module.heads,
        depth=len(module.initial),
        expansion=hidden / head,
        chunk_size=module.chunk_size,
        gradient=False,
    )


@_own.register
def _(module: Attention, length: int) -> float:
    # A block of queries as long as the window is compared with its own keys and those before.
    window = length if module.window is None else min(2 * module.window, length + module.window)
    return _attention(module.output.in_features, window, module.persistent.shape[2])


@_own.register
def _(module: MAC, length: int) -> float:
    read = 2.0 * sum(weight.numel() for weight in module.memory.initial)
    keys = 2 * min(module.segment, length) + module.persistent.shape[2]
    return read + 4.0 * module.attended.in_features * keys


def _attention(dim: int, keys: int, persistent: int) -> float:
    """Scores and sums; with persistent keys both have twice the channels."""
    return 4.0 * dim * (2 if persistent else 1) * (keys + persistent)
