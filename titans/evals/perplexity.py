"""How well held-out documents are predicted, by a model that reads each from end to end."""

import math
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
import torch.nn.functional as F
from rich.progress import track
from torch import Tensor

from titans.evals.score import Score
from titans.models import LanguageModel
from titans.tasks import NextToken


@runtime_checkable
class HeldOut(Protocol):
    """Documents that were not trained on."""

    documents: list[Any]
    words: int
    bytes: int


@runtime_checkable
class Stream(Protocol):
    """Many tokens in a row."""

    def __len__(self) -> int:
        """How many."""

    def read(self, start: int, stop: int) -> Any:
        """The tokens from `start` to `stop`."""


@runtime_checkable
class Text(Protocol):
    """Where the documents come from."""

    name: str
    end: int
    tokenizer: str

    def held_out_documents(self, most_tokens: int | None) -> HeldOut:
        """The validation part, or the first shards of it that have so many tokens."""

    def stream(self, part: str) -> Stream:
        """All tokens of `train` or `validation`."""


class Perplexity:
    """Perplexity a token and a word, and bits a byte, of the validation part.

    Each document begins after the token that ends one, with the state of a new sequence, and is
    read to its own end with the state carried on: nothing is cut off, and no window slides. The
    perplexity a word divides the same sum by the words between white space, so that it does not
    depend on the tokenizer.

    Args:
        text: where the documents come from.
        most_tokens: shards are scored until there are as many; None for all.
        batch: documents side by side.
        piece: tokens of each that are read at a time.

    Raises:
        ValueError: one of these is below 1.
    """

    def __init__(
        self, text: Text, *, most_tokens: int | None = None, batch: int = 16, piece: int = 512
    ) -> None:
        if min(batch, piece, most_tokens or 1) < 1:
            raise ValueError(
                "task.validation_tokens, and batch and piece of an evaluation, are 1 or more"
            )
        self.text, self.most_tokens, self.batch, self.piece = text, most_tokens, batch, piece

    def __call__(self, task: NextToken) -> Iterator[Score]:
        """Yields the three scores, each with the tokens and documents behind it.

        Raises:
            ValueError: the model of a checkpoint was trained on other pieces.
        """
        task.check_pieces(self.text.tokenizer, self.text.end)
        began = time.monotonic()
        held_out = self.text.held_out_documents(self.most_tokens)
        # Equal lengths together: a batch goes on to the end of its longest.
        ordered = sorted(held_out.documents, key=len)
        batches = [ordered[i : i + self.batch] for i in range(0, len(ordered), self.batch)]
        shown = track(batches, "perplexity", transient=True, disable=not sys.stdout.isatty())
        network = task.network.eval()
        losses = [
            document_losses(network, batch, end=self.text.end, piece=self.piece) for batch in shown
        ]
        total = float(torch.cat(losses).sum())
        yield from scores(self.text.name, total, held_out, seconds=time.monotonic() - began)


def scores(
    name: str, total: float, held_out: HeldOut, *, seconds: float, model: str = ""
) -> Iterator[Score]:
    """The three scores of a sum of losses in nats; `model` is put before a metric's name."""
    tokens = sum(map(len, held_out.documents))
    counts = {"tokens": tokens, "documents": len(held_out.documents), "seconds": round(seconds, 2)}
    yield Score(f"{name}/{model}token_perplexity", math.exp(total / tokens), counts)
    yield Score(f"{name}/{model}word_perplexity", math.exp(total / held_out.words), counts)
    yield Score(f"{name}/{model}bits_per_byte", total / held_out.bytes / math.log(2), counts)


@torch.inference_mode()
def document_losses(
    network: LanguageModel, documents: Sequence[Any], *, end: int, piece: int
) -> Tensor:
    """Loss (nats) over each document, `[documents]`, in memory that no length changes.

    Args:
        network: the model.
        documents: token ids, each with its end.
        end: that token, which the first one of a document is predicted from.
        piece: tokens read at a time.
    """
    device = next(network.parameters()).device
    longest = max(map(len, documents))
    padded = np.full((len(documents), longest + 1), end, np.int64)
    for row, document in zip(padded, documents, strict=True):
        row[1 : len(document) + 1] = document
    lengths = torch.tensor([len(document) for document in documents], device=device)
    losses, start = torch.zeros(len(documents), dtype=torch.float64, device=device), 0
    for loss in losses_of_pieces(network, padded, piece):
        real = torch.arange(start, start + loss.shape[1], device=device) < lengths[:, None]
        losses += torch.where(real, loss, 0.0).sum(1, dtype=torch.float64)
        start += loss.shape[1]
    return losses


def losses_of_pieces(network: LanguageModel, tokens: Any, piece: int) -> Iterator[Tensor]:
    """Loss (nats) of each token but the first, `[rows, piece]` at a time, the state carried on.

    Args:
        network: the model.
        tokens: `[rows, time + 1]`, an array.
        piece: tokens read at a time.
    """
    device, state = next(network.parameters()).device, None
    time = tokens.shape[1] - 1
    for start in range(0, time, piece):
        part = torch.from_numpy(tokens[:, start : min(start + piece, time) + 1].copy()).to(device)
        hidden, state = network.hidden(part[:, :-1], state)
        logits = network.logits(hidden).float()
        yield F.cross_entropy(logits.mT, part[:, 1:], reduction="none")
