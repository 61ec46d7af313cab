"""Arguments of `memorize` at random, and what two forms of it make of them."""

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from tests import tensors
from tests.tensors import assert_same
from titans.memory import MemoryState, memorize, memorize_reference

BATCH, HEADS, DIM, HIDDEN = 2, 3, 5, 7
SEQUENCES, GATES = ("queries", "keys", "values"), ("forget", "momentum", "step")
Case = dict[str, Any]
Memorize = Callable[..., tuple[Tensor, MemoryState]]


def make(
    *,
    time: int = 37,
    depth: int = 2,
    layers: int = 0,
    batch: int = BATCH,
    heads: int = HEADS,
    dim: int = DIM,
    hidden: int = HIDDEN,
    out: int | None = None,
    seed: int = 0,
    forget: float | None = None,
    momentum: float | None = None,
    step: float | None = None,
) -> Case:
    """Random arguments in float64; a gate that is given is the same for every token.

    Values are as wide as keys, unless `out` says otherwise.
    """
    generator = torch.Generator().manual_seed(seed)
    normal = partial(torch.randn, generator=generator, dtype=torch.float64)
    uniform = partial(torch.rand, generator=generator, dtype=torch.float64)
    out = out or dim
    sequences = [normal(batch, heads, time, width) * width**-0.5 for width in (dim, dim, out)]
    shape = (batch, heads, time, layers) if layers else (batch, heads, time)
    bounds = zip((forget, momentum, step), (0.1, 0.9, 0.1), strict=True)
    gates = [uniform(shape) * most if x is None else torch.full_like(uniform(shape), x)
             for x, most in bounds]  # fmt: skip
    widths = [dim, *[hidden] * (depth - 1), out]
    weights = [normal(batch, heads, o, i) * i**-0.5 for i, o in pairwise(widths)]
    surprise = [normal(w.shape) * 0.03 for w in weights]
    state = {f"weights{i}": w for i, w in enumerate(weights)}
    state |= {f"surprise{i}": s for i, s in enumerate(surprise)}
    return dict(zip(SEQUENCES + GATES, sequences + gates, strict=True)) | state


def lowered(case: Case, dtype: torch.dtype) -> Case:
    """Sequences in a precision, gates and memory in float32 at least, as the layer has them."""
    precise = torch.promote_types(dtype, torch.float32)
    return {name: x.to(dtype if name in SEQUENCES else precise) for name, x in case.items()}


def call(function: Memorize, case: Case, **more: Any) -> dict[str, Tensor]:
    """Outputs and final state by name."""
    rest = {k: v for k, v in case.items() if not k.startswith(("weights", "surprise"))}
    state = MemoryState(
        *(tuple(v for k, v in case.items() if k.startswith(part)) for part in ("weigh", "surpri"))
    )
    outputs, after = function(**rest, state=state, **more)
    named = {f"weights{i}": w for i, w in enumerate(after.weights)}
    named |= {f"surprise{i}": s for i, s in enumerate(after.momentum)}
    return {"outputs": outputs} | named


def differentiate(function: Memorize, case: Case, **more: Any) -> dict[str, Tensor]:
    """As `call`, and the gradient of a random projection of all results to every argument."""
    return tensors.differentiate(lambda **leaves: call(function, leaves, **more), case)


def assert_true(case: Case, **more: Any) -> None:
    """The dual form gives what the token-by-token form gives."""
    assert_same(
        differentiate(memorize, case, **more),
        differentiate(memorize_reference, case, **more),
        1e-10,
    )
