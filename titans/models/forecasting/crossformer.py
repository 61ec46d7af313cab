"""Crossformer (Zhang and Yan, ICLR 2023): attention over time, then over channels."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from titans.shapes import Forecast, Series

Segments = Float[Tensor, "batch channels segments dim"]
Merged = Float[Tensor, "batch channels merged dim"]


class Attend(nn.Module):
    """Multi-head attention over the last axis but one, whatever stands before it.

    Args:
        dim: width of queries, keys and values.
        heads: attention heads.
        dropout: share of the attention weights that is dropped in training.
    """

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(dim, heads, dropout=dropout, batch_first=True)

    def forward(self, queries: Tensor, keys: Tensor) -> Tensor:
        """From `[..., to, dim]` to `[..., from, dim]`, the keys and the values."""
        flat = keys.flatten(0, -3)
        mixed, _ = self.attention(queries.flatten(0, -3), flat, flat, need_weights=False)
        return mixed.view(queries.shape)


class Residual(nn.Module):
    """`norm(x + y)`, then `norm(x + mlp(x))`: what follows on an attention.

    Args:
        dim: width of input and output.
        hidden: width inside the MLP.
        dropout: share of both branches that is dropped in training.
    """

    def __init__(self, dim: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.dropout, self.first_norm = nn.Dropout(dropout), nn.LayerNorm(dim)
        self.mlp = nn.Sequential(nn.Linear(dim, hidden), nn.GELU(), nn.Linear(hidden, dim))
        self.second_norm = nn.LayerNorm(dim)

    def forward(self, x: Tensor, attended: Tensor) -> Tensor:
        """`[..., dim]`, and what was attended to from there, to `[..., dim]`."""
        x = self.first_norm(x + self.dropout(attended))
        return self.second_norm(x + self.dropout(self.mlp(x)))


class TwoStageAttention(nn.Module):
    """Attention over the segments of each channel, then over the channels of each (eq. 3-5).

    The second goes through `routers` learned vectors a segment, which gather from all channels and
    from which each channel reads, so that its cost is linear in the channels.

    Args:
        segments: segments of each channel.
        dim: width of a segment.
        heads: attention heads.
        hidden: width inside the MLPs.
        routers: how many routers a segment.
        dropout: share of each branch that is dropped in training.
    """

    def __init__(
        self, segments: int, dim: int, heads: int, hidden: int, routers: int, dropout: float
    ) -> None:
        super().__init__()
        self.time, self.gather, self.spread = (Attend(dim, heads, dropout) for _ in range(3))
        self.after_time, self.after_channels = (Residual(dim, hidden, dropout) for _ in range(2))
        self.routers = nn.Parameter(torch.randn(segments, routers, dim))

    def forward(self, x: Segments) -> Segments:
        """`[batch, channels, segments, dim]` to the same."""
        x = self.after_time(x, self.time(x, x))
        across = x.transpose(1, 2)
        gathered = self.gather(self.routers.expand(len(x), -1, -1, -1), across)
        across = self.after_channels(across, self.spread(across, gathered))
        return across.transpose(1, 2)


class Merge(nn.Module):
    """Two neighbouring segments become one (eq. 6); an odd last one is doubled.

    Args:
        dim: width of a segment, before and after.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm, self.linear = nn.LayerNorm(2 * dim), nn.Linear(2 * dim, dim)

    def forward(self, x: Segments) -> Merged:
        """`[batch, channels, segments, dim]` to half as many segments, rounded up."""
        if x.shape[2] % 2:
            x = torch.cat([x, x[:, :, -1:]], dim=2)
        return self.linear(self.norm(x.unflatten(2, (-1, 2)).flatten(3)))


class DecoderLayer(nn.Module):
    """Two-stage attention on the horizon, attention to the encoder, and a part of the forecast.

    Args:
        stages: the two-stage attention.
        dim: width of a segment.
        heads: attention heads.
        segment: steps that a segment forecasts.
        dropout: share of each branch that is dropped in training.
    """

    def __init__(
        self, stages: TwoStageAttention, dim: int, heads: int, segment: int, dropout: float
    ) -> None:
        super().__init__()
        self.stages, self.cross = stages, Attend(dim, heads, dropout)
        self.after = Residual(dim, dim, dropout)
        self.output = nn.Linear(dim, segment)

    def forward(self, x: Segments, encoded: Merged) -> tuple[Segments, Tensor]:
        """The segments of the horizon, and what they add to the forecast (eq. 7-8)."""
        x = self.stages(x)
        x = self.after(x, self.cross(x, encoded))
        return x, self.output(x).flatten(2).mT


class Crossformer(nn.Module):
    """Segments of each channel, an encoder that merges them, a decoder that reads every scale.

    Args:
        lookback: steps of a window.
        horizon: steps to forecast.
        channels: variables of the series.
        dim: width of a segment.
        hidden: width inside the MLPs of the two-stage attention.
        heads: attention heads.
        layers: layers of the encoder; each but the first halves the segments.
        segment: steps of a segment.
        routers: how many routers a segment.
        dropout: share of each branch that is dropped in training.

    Raises:
        ValueError: no layer, no step in a segment, or heads that do not divide the width.
    """

    def __init__(
        self,
        *,
        lookback: int,
        horizon: int,
        channels: int,
        dim: int = 256,
        hidden: int = 512,
        heads: int = 4,
        layers: int = 3,
        segment: int = 12,
        routers: int = 10,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        if min(layers, segment, heads) < 1 or dim % heads:
            raise ValueError(
                f"{layers} layers, {segment} steps a segment, {heads} heads, width {dim}: set each "
                "to 1 or more, and the heads to a divisor of the width"
            )
        self.segment, self.horizon = segment, horizon
        self.padding = -lookback % segment
        encoded, decoded = -(lookback // -segment), -(horizon // -segment)
        self.embedding = nn.Linear(segment, dim, bias=False)
        self.positions = nn.Parameter(torch.randn(channels, encoded, dim))
        self.norm = nn.LayerNorm(dim)
        # Layer `l` has the segments of `l` mergers: halved and rounded up each time.
        sizes = [-(encoded // -(2**layer)) for layer in range(layers)]

        def stages(size: int) -> TwoStageAttention:
            return TwoStageAttention(size, dim, heads, hidden, routers, dropout)

        self.encoder = nn.ModuleList(stages(size) for size in sizes)
        self.merge = nn.ModuleList(Merge(dim) for _ in sizes[1:])
        self.queries = nn.Parameter(torch.randn(channels, decoded, dim))
        self.decoder = nn.ModuleList(
            DecoderLayer(stages(decoded), dim, heads, segment, dropout) for _ in range(layers + 1)
        )

    def forward(self, series: Series) -> Forecast:
        """`[batch, lookback, channels]` to `[batch, horizon, channels]`."""
        scales = self.encode(series)
        x, forecast = self.queries.expand(len(series), -1, -1, -1), torch.zeros(())
        for layer, encoded in zip(self.decoder, scales, strict=True):
            x, part = layer(x, encoded)
            forecast = forecast.to(part) + part
        return forecast[:, : self.horizon]

    def encode(self, series: Series) -> list[Segments]:
        """The embedded segments, and what each layer of the encoder makes of them."""
        # Filled up in front, so that the window ends with a segment.
        padded = F.pad(series.mT, (self.padding, 0), mode="replicate")
        x = self.embedding(padded.unflatten(-1, (-1, self.segment)))
        scales = [self.norm(x + self.positions)]
        for depth, stages in enumerate(self.encoder):
            x = self.merge[depth - 1](scales[-1]) if depth else scales[-1]
            scales.append(stages(x))
        return scales
