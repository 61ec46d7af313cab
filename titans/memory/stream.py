"""A recurrence over chunks, of a sequence that comes in pieces and may be cut inside a chunk."""

from collections.abc import Callable
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from titans.shapes import HeadSequence

State = TypeVar("State")


def continued(
    run: Callable[..., tuple[Tensor, State]],
    queries: HeadSequence,
    written: tuple[Tensor, ...],
    pending: tuple[Tensor, ...] | None,
    state: State,
    chunk_size: int,
) -> tuple[HeadSequence, State, tuple[Tensor, ...]]:
    """Outputs of a piece, the state after its last full chunk, and what the tokens after it write.

    Args:
        run: from queries, what is written and a state, which begins a chunk, makes outputs and the
            state after them.
        queries: of the piece.
        written: what its tokens write, `[batch, heads, time, ...]` each.
        pending: what the unfinished chunk before it writes; None where a sequence begins.
        state: where that chunk begins.
        chunk_size: tokens of a chunk.
    """
    waiting = pending[0].shape[2] if pending else 0
    if pending:
        written = tuple(torch.cat(pair, dim=2) for pair in zip(pending, written, strict=True))
        queries = F.pad(queries, (0, 0, waiting, 0))
    rest = queries.shape[2] % chunk_size
    sizes = [queries.shape[2] - rest, rest]
    full, last = zip(*(x.split(sizes, dim=2) for x in (queries, *written)), strict=True)
    outputs, state = run(*full, state)
    if rest:
        outputs = torch.cat([outputs, run(*last, state)[0]], dim=2)
    # Copies, so that the whole sequence is not kept with its end.
    return outputs[:, :, waiting:], state, tuple(x.clone() for x in last[1:])
