"""PatchTST (Nie et al., ICLR 2023, arXiv:2211.14730): patches of one channel are the tokens."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from titans.models.forecasting.reversible_norm import ReversibleNorm
from titans.shapes import Forecast, Sequence, Series


class PatchTST(nn.Module):
    """Forecasts every channel by itself, all by one Transformer over overlapping patches.

    Args:
        lookback: time steps of a window.
        horizon: time steps of its forecast.
        channels: variables of the series.
        dim: width of a token.
        layers: Transformer blocks.
        heads: attention heads; they divide `dim`.
        mlp_width: hidden width of a block's MLP.
        patch: time steps of a patch, at most `lookback`.
        stride: time steps from one patch to the next.
        dropout: of the tokens, and in each block.

    Raises:
        ValueError: if the patches do not fit the window, or the heads the width.
    """

    def __init__(
        self,
        *,
        lookback: int,
        horizon: int,
        channels: int,
        dim: int = 128,
        layers: int = 3,
        heads: int = 16,
        mlp_width: int = 256,
        patch: int = 16,
        stride: int = 8,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        if not 0 < patch <= lookback:
            raise ValueError(
                f"A patch of {patch} steps does not fit a window of {lookback}: "
                f"set patch between 1 and {lookback}."
            )
        if not 0 < stride <= patch:
            raise ValueError(
                f"A stride of {stride} with patches of {patch} leaves steps out: "
                f"set stride between 1 and {patch}."
            )
        self.patch, self.stride = patch, stride
        tokens = (lookback - patch) // stride + 2
        self.norm = ReversibleNorm(channels, affine=False)
        self.embedding = nn.Linear(patch, dim)
        self.positions = nn.Parameter(torch.empty(tokens, dim).uniform_(-0.02, 0.02))
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.Sequential(
            *(PatchBlock(dim, heads, mlp_width, dropout) for _ in range(layers))
        )
        self.head = nn.Linear(tokens * dim, horizon)

    def forward(self, series: Series) -> Forecast:
        """The forecast `[batch, horizon, channels]` of windows `[batch, lookback, channels]`."""
        standard, level = self.norm(series)
        patches = self.patches(standard)
        tokens = self.dropout(self.embedding(patches) + self.positions)
        encoded = self.blocks(tokens.flatten(0, 1)).unflatten(0, tokens.shape[:2])
        return self.norm.reverse(self.head(encoded.flatten(2)).mT, level)

    def patches(self, series: Series) -> Tensor:
        """Overlapping pieces `[batch, channels, tokens, patch]`, the last value repeated after."""
        padded = F.pad(series.mT, (0, self.stride), mode="replicate")
        return padded.unfold(-1, self.patch, self.stride)


class PatchBlock(nn.Module):
    """A Transformer block with batch normalisation after each residual sum (its appendix A.1)."""

    def __init__(self, dim: int, heads: int, mlp_width: int, dropout: float) -> None:
        super().__init__()
        if heads < 1 or dim % heads:
            raise ValueError(
                f"{heads} heads do not divide a width of {dim}: set dim to a multiple of heads."
            )
        self.attention = nn.MultiheadAttention(dim, heads, batch_first=True)
        self.mlp = nn.Sequential(
            nn.Linear(dim, mlp_width), nn.GELU(), nn.Dropout(dropout), nn.Linear(mlp_width, dim)
        )
        self.attention_norm, self.mlp_norm = nn.BatchNorm1d(dim), nn.BatchNorm1d(dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Sequence) -> Sequence:
        """Tokens `[batch, time, dim]` to tokens; one statistic for all tokens of a feature."""
        mixed, _ = self.attention(x, x, x, need_weights=False)
        x = self.normalised(self.attention_norm, x + self.dropout(mixed))
        return self.normalised(self.mlp_norm, x + self.dropout(self.mlp(x)))

    @staticmethod
    def normalised(norm: nn.BatchNorm1d, x: Sequence) -> Sequence:
        """Batch normalisation over sequences and tokens alike."""
        return norm(x.flatten(0, 1)).view_as(x)
