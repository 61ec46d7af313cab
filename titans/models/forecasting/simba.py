"""Simba: a sequence mixer over time, EinFFT over channels (arXiv:2403.15360)."""

from collections.abc import Callable, Mapping
from itertools import cycle, islice

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from titans.mixers.mixer import Mixer
from titans.models.forecasting.einfft import EinFFT
from titans.models.forecasting.reversible_norm import ReversibleNorm
from titans.shapes import Forecast, Sequence, Series


class SimbaBlock(nn.Module):
    """`x + mixer(norm x)`, then `x + einfft(norm x)`.

    Args:
        dim: width of input and output.
        mixer: what mixes over time.
        blocks: blocks of channels in EinFFT.
        dropout: share of both branches that is dropped in training.
    """

    def __init__(self, dim: int, mixer: Mixer, *, blocks: int, dropout: float) -> None:
        super().__init__()
        self.mixer_norm, self.channel_norm = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.mixer, self.channels = mixer, EinFFT(dim, blocks=blocks)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Sequence) -> Sequence:
        """`[batch, time, dim]` to the same; each sequence is whole, so the state is not kept."""
        mixed, _ = self.mixer(self.mixer_norm(x))
        x = x + self.dropout(mixed)
        return x + self.dropout(self.channels(self.channel_norm(x)))


class Simba(nn.Module):
    """Reads each channel by itself as patches in the order of time (see FIDELITY.md, Table 3).

    A window is standardised and cut into patches, behind which stands one of the last value alone;
    a linear map of all of these tokens is the forecast. Channels share all weights but the norm's.

    Args:
        lookback: steps of a window.
        horizon: steps to forecast.
        channels: variables of the series.
        dim: width of a token.
        layers: how many blocks.
        mixers: what makes a mixer; the mapping's values are taken in turn, over and over.
        patch: steps of a patch; the first one is filled up in front.
        blocks: blocks of channels in EinFFT.
        dropout: share dropped of the embedding, each branch and before the head, in training.

    Raises:
        ValueError: no mixer or no layer; a patch longer than the window, or empty.
    """

    def __init__(
        self,
        lookback: int,
        horizon: int,
        channels: int,
        *,
        dim: int,
        layers: int,
        mixers: Mapping[str, Callable[[], Mixer]] | None,
        patch: int = 16,
        blocks: int = 4,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        if not mixers or layers < 1:
            raise ValueError(
                "Simba needs a mixer and a layer: choose a model with mixers, and 1 layer or more"
            )
        if not 1 <= patch <= lookback:
            raise ValueError(f"a patch of {patch} steps for a window of {lookback}: set 1 to that")
        self.patch, self.padding = patch, -lookback % patch
        self.norm = ReversibleNorm(channels)
        tokens = 1 - (lookback // -patch)
        self.embedding = nn.Linear(patch, dim)
        self.positions = nn.Parameter(torch.randn(tokens, dim) * 0.02)
        self.dropout = nn.Dropout(dropout)
        makers = islice(cycle(mixers.values()), layers)
        self.blocks = nn.ModuleList(
            SimbaBlock(dim, make(), blocks=blocks, dropout=dropout) for make in makers
        )
        self.final_norm = nn.LayerNorm(dim)
        self.head = nn.Linear(tokens * dim, horizon)

    def forward(self, series: Series) -> Forecast:
        """The window `[batch, lookback, channels]` to its forecast `[batch, horizon, channels]`."""
        standard, level = self.norm(series)
        x = self.dropout(self.embedding(self.patches(standard)) + self.positions)
        for block in self.blocks:
            x = block(x)
        forecast = self.head(self.dropout(self.final_norm(x).flatten(1)))
        return self.norm.reverse(forecast.unflatten(0, (len(series), -1)).mT, level)

    def patches(self, series: Series) -> Float[Tensor, "sequences tokens patch"]:
        """Each channel by itself: `[batch, lookback, channels]` to `[sequences, tokens, patch]`."""
        padded = F.pad(series.mT, (self.padding, self.patch), mode="replicate")
        return padded.unflatten(-1, (-1, self.patch)).flatten(0, 1)
