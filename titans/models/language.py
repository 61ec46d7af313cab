"""A backbone that reads tokens and predicts the next one."""

from typing import Any

import torch
from torch import nn

from titans.models.backbone import Backbone
from titans.shapes import Asked, Logits, Sequence, Tokens


class LanguageModel(nn.Module):
    """Embedding, backbone, and the embedding again as the output layer.

    Args:
        vocabulary: number of tokens.
        backbone: what lies between.
    """

    def __init__(self, vocabulary: int, backbone: Backbone) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, backbone.dim)
        nn.init.normal_(self.embedding.weight, std=backbone.dim**-0.5)
        self.backbone = backbone

    def forward(self, tokens: Tokens, state: Any = None) -> tuple[Logits, Any]:
        """Logits `[batch, time, vocab]` of the token after each, and the state after the last.

        Args:
            tokens: `[batch, time]`, any time.
            state: what an earlier call returned, to continue its sequences; None to start.
        """
        hidden, state = self.hidden(tokens, state)
        return self.logits(hidden), state

    def hidden(self, tokens: Tokens, state: Any = None) -> tuple[Sequence, Any]:
        """What the logits are made of, `[batch, time, dim]`, for callers that need few of them."""
        x = self.embedding(tokens) * self.backbone.dim**0.5
        return self.backbone(x, state)

    def answers(self, tokens: Tokens, asked: Asked, state: Any = None) -> tuple[torch.Tensor, Any]:
        """Logits `[asked, vocab]` of the tokens after those where `asked` is true, and the state.

        Args:
            tokens: `[batch, time]`, any time.
            asked: likewise.
            state: what an earlier call returned, to continue its sequences; None to start.
        """
        hidden, state = self.hidden(tokens, state)
        return self.logits(hidden[asked]), state

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """`[..., dim]` to `[..., vocab]`."""
        return hidden @ self.embedding.weight.T
