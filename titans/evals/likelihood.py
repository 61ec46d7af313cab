"""How likely continuations are: a context is read once, whatever is asked behind it."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from titans.models import LanguageModel

Ids = tuple[int, ...]


class Asked(NamedTuple):
    """Token ids, neither empty: how likely is `continuation` behind `context`?"""

    context: Ids
    continuation: Ids


class Answer(NamedTuple):
    """Log-likelihood (nats) of a continuation, and whether it is what greedy decoding gives."""

    loglikelihood: float
    greedy: bool


@torch.inference_mode()
def likelihoods(
    network: LanguageModel, asked: Sequence[Asked], *, batch: int = 32, piece: int = 512
) -> Iterator[dict[Asked, Answer]]:
    """Yields the answers batch by batch.

    Contexts of about the same length are read side by side, up to the last token but one of the
    shortest; no padding enters a state. What is left of each, and the continuation, are read from
    that state once for every continuation. There rows are filled up at their ends, behind all that
    is scored, and the state after them is not used.

    Args:
        network: the model.
        asked: contexts and continuations; what is asked twice is answered once.
        batch: contexts, and then continuations, that are read side by side.
        piece: tokens of each that are read at a time, which bounds the memory it takes.
    """
    ordered = sorted(set(asked), key=lambda it: (len(it.context), it.context, len(it.continuation)))
    grouped = [list(group) for _, group in groupby(ordered, key=lambda it: it.context)]
    for start in range(0, len(grouped), batch):
        groups = grouped[start : start + batch]
        # The first is the shortest. Its last token's output is the first that is asked for.
        shared = len(groups[0][0].context) - 1
        state = read(network, [group[0].context[:shared] for group in groups], piece)
        rows = [(row, it) for row, group in enumerate(groups) for it in group]
        answers: dict[Asked, Answer] = {}
        for first in range(0, len(rows), batch):
            some = rows[first : first + batch]
            behind = rows_of(state, torch.tensor([row for row, _ in some]))
            ends = [Asked(it.context[shared:], it.continuation) for _, it in some]
            scored = score(network, ends, behind, piece)
            answers |= {it: answer for (_, it), answer in zip(some, scored, strict=True)}
        yield answers


def read(network: LanguageModel, contexts: Sequence[Ids], piece: int) -> Any:
    """The state after contexts of equal length; None where they are empty."""
    device, state = next(network.parameters()).device, None
    for start in range(0, len(contexts[0]), piece):
        tokens = [context[start : start + piece] for context in contexts]
        _, state = network.hidden(torch.tensor(tokens, device=device), state)
    return state


def score(network: LanguageModel, ends: Sequence[Asked], state: Any, piece: int) -> list[Answer]:
    """The answers to ends of contexts and their continuations, from a state of as many rows."""
    device = next(network.parameters()).device
    longest = max(len(it.context) + len(it.continuation) for it in ends) - 1
    inputs = torch.zeros(len(ends), longest, dtype=torch.long)
    # -1 where nothing is asked: within the context, and where a row is filled up.
    targets = torch.full_like(inputs, -1)
    for row, it in enumerate(ends):
        tokens = torch.tensor(it.context + it.continuation)
        inputs[row, : len(tokens) - 1] = tokens[:-1]
        targets[row, len(it.context) - 1 : len(tokens) - 1] = tokens[len(it.context) :]
    inputs, targets = inputs.to(device), targets.to(device)
    total = torch.zeros(len(ends), dtype=torch.float64, device=device)
    missed = torch.zeros(len(ends), dtype=torch.long, device=device)
    for start in range(0, longest, piece):
        hidden, state = network.hidden(inputs[:, start : start + piece], state)
        wanted = targets[:, start : start + piece]
        rows, times = (wanted >= 0).nonzero(as_tuple=True)
        token = wanted[rows, times]
        logits = network.logits(hidden[rows, times]).float()
        losses = F.cross_entropy(logits, token, reduction="none").double()
        total -= torch.zeros_like(total).index_add_(0, rows, losses)
        missed.index_add_(0, rows, (logits.argmax(-1) != token).long())
    return [
        Answer(value, not wrong)
        for value, wrong in zip(total.tolist(), missed.tolist(), strict=True)
    ]


def rows_of(state: Any, rows: Tensor) -> Any:
    """The state of some sequences of a batch, each as often as it is named."""
    if isinstance(state, Tensor):
        return state.index_select(0, rows.to(state.device))
    if isinstance(state, tuple):
        parts = [rows_of(part, rows) for part in state]
        return type(state)(*parts) if hasattr(state, "_fields") else tuple(parts)
    if isinstance(state, dict):
        return {name: rows_of(part, rows) for name, part in state.items()}
    return state
