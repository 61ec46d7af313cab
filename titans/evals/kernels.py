"""How many kernels a block starts, counted without computing anything."""

from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

# Answered by the tensor itself, or giving memory without filling it.
NO_KERNEL = ("empty", "detach", "view", "_unsafe_view", "alias", "lift_fresh", "new_empty", "set_")
COUNTED = (512, 1024)


class _Counting(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count = 0

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        name = function.overloadpacket.__name__
        if not (function.is_view or name.startswith(NO_KERNEL)):
            self.count += 1
        return function(*args, **(kwargs or {}))


def kernels(block: Any, length: int, *, half: bool) -> tuple[int, int]:
    """Operations of a block on a sequence, forward and those of its gradient, each about a kernel.

    Views count as none, and a product as one; what a compiler would join is not joined. Counted at
    two lengths, from which they grow evenly.

    Args:
        block: made in `FakeTensorMode`.
        length: tokens, a multiple of the shorter of the two.
        half: whether products are in bfloat16.
    """
    short, long = (count(block, tokens, half) for tokens in COUNTED)
    pieces = (length - COUNTED[0]) // (COUNTED[1] - COUNTED[0])
    forward, backward = (s + pieces * (n - s) for s, n in zip(short, long, strict=True))
    return forward, backward


def count(block: Any, length: int, half: bool) -> tuple[int, int]:
    """The same, gone through at this length."""
    mode = next(block.parameters()).fake_mode
    assert isinstance(mode, FakeTensorMode)
    block.zero_grad()
    with mode:
        x = torch.zeros(1, length, block.mixer_norm.weight.shape[0], requires_grad=True)
        with _Counting() as forward, torch.autocast("cpu", torch.bfloat16, enabled=half):
            y, _ = block(x)
        with _Counting() as backward:
            y.sum().backward()
    return forward.count, backward.count
