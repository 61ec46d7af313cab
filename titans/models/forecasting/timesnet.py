"""TimesNet (Wu et al., ICLR 2023, arXiv:2210.02186): a series folded by its periods."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from titans.models.forecasting.reversible_norm import ReversibleNorm
from titans.shapes import Forecast, Sequence, Series

Grid = Float[Tensor, "batch dim rows period"]


class Inception(nn.Module):
    """The mean of convolutions of 1 x 1, 3 x 3, ... cells.

    It is computed as one convolution, with the mean of the kernels.

    Args:
        dim: width of the input.
        out: width of the output.
        kernels: how many convolutions.
    """

    def __init__(self, dim: int, out: int, kernels: int) -> None:
        super().__init__()
        sizes = [2 * i + 1 for i in range(kernels)]
        self.weights = nn.ParameterList(torch.empty(out, dim, size, size) for size in sizes)
        self.biases = nn.ParameterList(torch.zeros(out) for _ in sizes)
        for weight in self.weights:
            nn.init.kaiming_normal_(weight, mode="fan_out", nonlinearity="relu")

    def merged(self) -> tuple[Tensor, Tensor]:
        """Kernel and bias of the one convolution that does it all."""
        around = [[len(self.weights) - 1 - i] * 4 for i in range(len(self.weights))]
        kernels = [F.pad(w, pad) for w, pad in zip(self.weights, around, strict=True)]
        return torch.stack(kernels).mean(0), torch.stack(list(self.biases)).mean(0)


class TimesBlock(nn.Module):
    """Folds the series by its strongest periods, mixes the grids, adds them up (eq. 1-7).

    The periods are those of the training data: training takes them from the mean spectrum of its
    batch, and keeps a running mean of it, by which all later windows are folded. So a forecast
    does not depend on the windows beside it. How much each period counts is the window's own.

    Args:
        dim: width of input and output.
        hidden: width between the two convolutions.
        steps: length of the series.
        periods: how many periods, `k`.
        kernels: convolutions of an inception block.
    """

    spectrum: Tensor

    def __init__(self, dim: int, hidden: int, *, steps: int, periods: int, kernels: int) -> None:
        super().__init__()
        self.periods = periods
        self.inner = Inception(dim, hidden, kernels)
        self.outer = Inception(hidden, dim, kernels)
        self.register_buffer("spectrum", torch.zeros(steps // 2))

    def forward(self, x: Sequence) -> Sequence:
        """`[batch, steps, dim]` to the same."""
        lengths, weights = self.strongest(x)
        kernels = self.inner.merged(), self.outer.merged()
        mixed = x
        for rank, period in enumerate(lengths):
            grid = fold(x, period)
            grid = convolve(F.gelu(convolve(grid, *kernels[0])), *kernels[1])
            varied = grid.permute(0, 2, 3, 1).flatten(1, 2)[:, : x.shape[1]]
            mixed = mixed + weights[:, rank, None, None] * varied
        return mixed

    def strongest(self, x: Sequence) -> tuple[list[int], Tensor]:
        """The strongest periods, and their weights `[batch, periods]` (eq. 1, 6)."""
        amplitudes = torch.fft.rfft(x, dim=1).abs().mean(-1)[:, 1:]
        found = self.spectrum
        if self.training:
            found = amplitudes.detach().mean(0)
            self.spectrum.lerp_(found.to(self.spectrum.dtype), 0.1)
        places = found.topk(self.periods).indices
        periods = [-(x.shape[1] // -(place + 1)) for place in places.tolist()]
        return periods, amplitudes[:, places].softmax(dim=1)


def fold(x: Sequence, period: int) -> Float[Tensor, "batch dim rows columns"]:
    """A period a row, zeros after the end: `[batch, time, dim]` to `[batch, dim, rows, period]`."""
    padded = F.pad(x, (0, 0, 0, -x.shape[1] % period))
    return padded.unflatten(1, (-1, period)).permute(0, 3, 1, 2)


def convolve(grid: Grid, kernel: Tensor, bias: Tensor) -> Float[Tensor, "batch out rows period"]:
    """Convolution to the same size, without those parts of the kernel that meet padding alone."""
    radius = kernel.shape[-1] // 2
    rows, columns = (min(radius, size - 1) for size in grid.shape[2:])
    kernel = kernel[..., radius - rows : radius + rows + 1, radius - columns : radius + columns + 1]
    return F.conv2d(grid, kernel, bias, padding=(rows, columns))


class TimesNet(nn.Module):
    """Stretches a window to its horizon, and refines it by blocks over its periods.

    Channels are mixed from the first layer on. There are no features of the calendar, which the
    published code adds to the embedding.

    Args:
        lookback: steps of a window.
        horizon: steps to forecast.
        channels: variables of the series.
        dim: width of a step.
        hidden: width inside a block.
        layers: how many blocks.
        periods: periods that each block folds by.
        kernels: convolutions of an inception block.
        dropout: share of the embedding that is dropped in training.

    Raises:
        ValueError: no layer, or more periods than the series has frequencies.
    """

    def __init__(
        self,
        *,
        lookback: int,
        horizon: int,
        channels: int,
        dim: int = 16,
        hidden: int = 32,
        layers: int = 2,
        periods: int = 5,
        kernels: int = 6,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        steps = lookback + horizon
        if layers < 1 or not 1 <= periods <= steps // 2:
            raise ValueError(
                f"{layers} layers, {periods} periods for {steps} steps: set layers to "
                "1 or more, and periods to at most half of the steps"
            )
        self.horizon = horizon
        self.level = ReversibleNorm(channels, affine=False)
        self.embedding = nn.Conv1d(channels, dim, 3, padding=1, padding_mode="circular", bias=False)
        nn.init.kaiming_normal_(self.embedding.weight, nonlinearity="leaky_relu")
        self.register_buffer("positions", waves(lookback, dim), persistent=False)
        self.dropout = nn.Dropout(dropout)
        self.stretch = nn.Linear(lookback, steps)
        self.blocks = nn.ModuleList(
            TimesBlock(dim, hidden, steps=steps, periods=periods, kernels=kernels)
            for _ in range(layers)
        )
        # One norm behind all blocks, as in the published code.
        self.norm = nn.LayerNorm(dim)
        self.output = nn.Linear(dim, channels)

    def forward(self, series: Series) -> Forecast:
        """`[batch, lookback, channels]` to `[batch, horizon, channels]`."""
        standard, level = self.level(series)
        x = self.dropout(self.embedding(standard.mT).mT + self.positions)
        x = self.stretch(x.mT).mT
        for block in self.blocks:
            x = self.norm(block(x))
        return self.level.reverse(self.output(x[:, -self.horizon :]), level)


def waves(time: int, dim: int) -> Float[Tensor, "time dim"]:
    """Sines and cosines of the position, in turn (Vaswani et al., 2017, section 3.5)."""
    rates = 10_000.0 ** (-torch.arange(0, dim, 2) / dim)
    angles = torch.arange(time)[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)[:, :dim]
