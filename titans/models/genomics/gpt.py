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
        block = nn.TransformerEncoderLayer(
            dim, heads, hidden, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.blocks = nn.TransformerEncoder(
            block, layers, nn.LayerNorm(dim), enable_nested_tensor=False
        )
        self.head = nn.Linear(dim, classes)

    def forward(self, tokens: Tokens) -> Float[Tensor, "batch classes"]:
        """Logits `[batch, classes]` of sequences `[batch, time]`, time at most `length`."""
        time = tokens.shape[1]
        x = self.embedding(tokens) + self.positions[:time]
        mask = nn.Transformer.generate_square_subsequent_mask(time, device=x.device, dtype=x.dtype)
        hidden = self.blocks(x, mask=mask, is_causal=True)
        return self.head(mean_over_tokens(hidden, tokens, self.padding))
