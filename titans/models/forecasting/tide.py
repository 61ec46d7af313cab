"""TiDE (Das et al., TMLR 2023, arXiv:2304.08424): a dense encoder and decoder for each channel."""

from itertools import pairwise

import torch
from torch import Tensor, nn

from titans.models.forecasting.reversible_norm import ReversibleNorm
from titans.shapes import Forecast, Series


class TiDE(nn.Module):
    """Encodes a channel's window, decodes a vector a step, and reads each vector by one MLP.

    The paper's covariates and attributes are left out: a forecaster sees the series alone. Its
    layer norm "at the output" of every block, the last one too, is one of a single number, which
    it turns into a constant: the forecast is linear, as it is in the published code. The scores
    that the literature prints are those of this linear map; `step_norm` false is the other TiDE.

    Args:
        lookback: time steps of a window.
        horizon: time steps of its forecast.
        channels: variables of the series.
        dim: width of the encoding, `hiddenSize` in the paper.
        layers: residual blocks of the encoder, and of the decoder.
        step_dim: width of the vector decoded for a step, `decoderOutputDim` in the paper.
        step_width: hidden width of the block that reads it, `temporalDecoderHidden`.
        dropout: of each block.
        reversible: whether windows are normalised, `revIn` in the paper.
        step_norm: whether the block that reads a step ends in a layer norm.
    """

    def __init__(
        self,
        *,
        lookback: int,
        horizon: int,
        channels: int,
        dim: int = 512,
        layers: int = 2,
        step_dim: int = 32,
        step_width: int = 16,
        dropout: float = 0.2,
        reversible: bool = True,
        step_norm: bool = True,
    ) -> None:
        super().__init__()
        self.horizon, self.step_norm = horizon, step_norm
        self.norm = ReversibleNorm(channels) if reversible else None
        self.linear = nn.Linear(lookback, horizon)
        if step_norm:
            # Of any one number the layer norm is its shift: what leads to it is not built.
            self.shift = nn.Parameter(torch.zeros(1))
            return
        widths = [lookback, *[dim] * (2 * layers - 1), horizon * step_dim]
        self.dense = nn.Sequential(
            *(ResidualBlock(inputs, dim, outputs, dropout) for inputs, outputs in pairwise(widths))
        )
        self.step = ResidualBlock(step_dim, step_width, 1, dropout, norm=False)

    def forward(self, series: Series) -> Forecast:
        """The forecast `[batch, horizon, channels]` of windows `[batch, lookback, channels]`."""
        if self.norm is None:
            return self.forecast(series)
        standard, level = self.norm(series)
        return self.norm.reverse(self.forecast(standard), level)

    def forecast(self, series: Series) -> Forecast:
        """The same at the level of the network, whose global residual is linear."""
        past = series.mT
        if self.step_norm:
            return (self.shift + self.linear(past)).mT
        steps = self.step(self.dense(past).unflatten(-1, (self.horizon, -1))).squeeze(-1)
        return (steps + self.linear(past)).mT


class ResidualBlock(nn.Module):
    """An MLP of one hidden layer beside a linear skip, then a layer norm (section 4)."""

    def __init__(
        self, inputs: int, hidden: int, outputs: int, dropout: float, norm: bool = True
    ) -> None:
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, outputs), nn.Dropout(dropout)
        )
        self.skip = nn.Linear(inputs, outputs)
        self.norm = nn.LayerNorm(outputs) if norm else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """`[..., inputs]` to `[..., outputs]`."""
        return self.norm(self.mlp(x) + self.skip(x))
