"""A GPT that reads DNA: what Transformer++ is without rotation, gated MLP and RMS norms."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from titans.models.classifier import mean_over_tokens
from titans.shapes import Tokens


class GPT(nn.Module):
    """Learned positions, causal attention and a GELU MLP, each behind a layer norm.

    Args:
        vocabulary: number of tokens, padding included.
        padding: the token that fills up, at the end; it has no part in the mean.
        classes: how many there are.
        length: tokens of the longest sequence.
        dim: width of the stack.
        layers: how many blocks.
        heads: attention heads.
        expansion: width inside an MLP, as a multiple of `dim`.
    """

    def __init__(
        self,
        vocabulary: int,
        padding: int,
        classes: int,
        length: int,
        *,
        dim: int,
        layers: int,
        heads: int,
        expansion: float = 4.0,
    ) -> None:
        super().__init__()
        self.padding = padding
        self.embedding = nn.Embedding(vocabulary, dim)
        self.positions = nn.Parameter(torch.randn(length, dim) * 0.02)
        hidden = int(expansion * dim)
        # Not torch's stack, which would begin with copies of one layer.
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(
                *(dim, heads, hidden, 0.0), activation="gelu", batch_first=True, norm_first=True
            )
            for _ in range(layers)
        )
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, classes)

    def forward(self, tokens: Tokens) -> Float[Tensor, "batch classes"]:
        """Logits `[batch, classes]` of sequences `[batch, time]`, time at most `length`."""
        time = tokens.shape[1]
        x = self.embedding(tokens) + self.positions[:time]
        mask = nn.Transformer.generate_square_subsequent_mask(time, device=x.device, dtype=x.dtype)
        for block in self.blocks:
            x = block(x, src_mask=mask, is_causal=True)
        return self.head(mean_over_tokens(self.norm(x), tokens, self.padding))
