"""iTransformer (Liu et al., ICLR 2024, arXiv:2310.06625): whole channels are the tokens."""

from torch import nn

from titans.models.forecasting.reversible_norm import ReversibleNorm
from titans.shapes import Forecast, Series


class ITransformer(nn.Module):
    """Attends over channels, each embedded by its whole window (section 3.1, equation 1).

    The official code also takes the calendar of a window as further tokens; here there is none.

    Args:
        lookback: time steps of a window.
        horizon: time steps of its forecast.
        channels: variables of the series.
        dim: width of a token.
        layers: Transformer blocks.
        heads: attention heads; they divide `dim`.
        mlp_width: hidden width of a block's MLP.
        dropout: of the tokens, and in each block.

    Raises:
        ValueError: if the heads do not divide the width.
    """

    def __init__(
        self,
        *,
        lookback: int,
        horizon: int,
        channels: int,
        dim: int = 512,
        layers: int = 3,
        heads: int = 8,
        mlp_width: int = 512,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        if heads < 1 or dim % heads:
            raise ValueError(
                f"{heads} heads do not divide a width of {dim}: set dim to a multiple of heads."
            )
        self.norm = ReversibleNorm(channels, affine=False)
        self.embedding = nn.Sequential(nn.Linear(lookback, dim), nn.Dropout(dropout))
        # Not nn.TransformerEncoder, whose layers are copies and begin with the same weights.
        blocks = (
            nn.TransformerEncoderLayer(dim, heads, mlp_width, dropout, "gelu", batch_first=True)
            for _ in range(layers)
        )
        self.encoder = nn.Sequential(*blocks, nn.LayerNorm(dim))
        self.head = nn.Linear(dim, horizon)

    def forward(self, series: Series) -> Forecast:
        """The forecast `[batch, horizon, channels]` of windows `[batch, lookback, channels]`."""
        standard, level = self.norm(series)
        tokens = self.encoder(self.embedding(standard.mT))
        return self.norm.reverse(self.head(tokens).mT, level)
