"""What is measured of a network: a training step, a forward pass, decoding."""

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from titans.models import LanguageModel
from titans.shapes import Tokens
from titans.tasks import NextToken, decayed_apart


class Work(NamedTuple):
    """A call to measure, and how many tokens one call goes through in each sequence."""

    call: Callable[[], object]
    tokens: int


class Workloads:
    """Prepares calls on batches `[batch, time + 1]`, whose last token is only a target.

    Args:
        task: the network and its optimiser.
        dtype: what autocast computes in; None for no autocast.
        new_tokens: how many a call decodes.
        piece: tokens of a prompt that are read at a time.
    """

    def __init__(
        self, task: NextToken, *, dtype: torch.dtype | None, new_tokens: int, piece: int
    ) -> None:
        self.task, self.dtype, self.new_tokens, self.piece = task, dtype, new_tokens, piece

    def train(self, tokens: Tokens) -> Work:
        """Forward, loss, backward and a step of the optimiser."""
        network = self.task.network.train()
        optimizer = self.task.make_optimizer(decayed_apart(network))

        def step() -> None:
            with self._autocast(tokens):
                logits, _ = network(tokens[:, :-1])
            loss = F.cross_entropy(logits.flatten(0, 1).float(), tokens[:, 1:].flatten())
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()

        return Work(step, tokens.shape[1] - 1)

    def forward(self, tokens: Tokens) -> Work:
        """Logits of all tokens, without gradients."""
        network = self.task.network.eval()

        def read() -> None:
            with torch.no_grad(), self._autocast(tokens):
                network(tokens[:, :-1])

        return Work(read, tokens.shape[1] - 1)

    @torch.no_grad()
    def decode(self, tokens: Tokens) -> Work:
        """The likeliest token after the other, behind a prompt that was read in pieces."""
        network, state = self.task.network.eval(), None
        with self._autocast(tokens):
            for piece in tokens[:, :-1].split(self.piece, dim=1):
                hidden, state = network.hidden(piece, state)
            first = _likeliest(network, hidden)

        def write() -> None:
            token, past = first, state
            with torch.no_grad(), self._autocast(tokens):
                for _ in range(self.new_tokens):
                    hidden, past = network.hidden(token, past)
                    token = _likeliest(network, hidden)

        return Work(write, self.new_tokens)

    def _autocast(self, x: Tensor) -> torch.autocast:
        return torch.autocast(x.device.type, self.dtype, enabled=self.dtype is not None)


MODES = {"train": Workloads.train, "forward": Workloads.forward, "decode": Workloads.decode}


def _likeliest(network: LanguageModel, hidden: Tensor) -> Tokens:
    return network.logits(hidden[:, -1]).argmax(-1, keepdim=True)
