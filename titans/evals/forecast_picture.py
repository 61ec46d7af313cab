"""Forecasts beside what came, and the error at each step of the horizon."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from torch import Tensor

from titans.shapes import Forecast, Series

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# As many windows are shown, and as many channels of each, the last.
SHOWN = 3


class Example(NamedTuple):
    """One window, `[time, shown channels]` each."""

    past: Tensor
    future: Tensor
    forecast: Tensor


def example(past: Series, future: Forecast, forecast: Forecast) -> Example:
    """The first window of a batch, `[batch, time, channels]` each; it keeps nothing else alive."""
    shown = (part[0, :, -SHOWN:].float().cpu().clone() for part in (past, future, forecast))
    return Example(*shown)


def draw(
    examples: Sequence[Example],
    errors: Mapping[str, Tensor],
    path: Path,
    *,
    title: str,
    channels: Sequence[str],
) -> None:
    """Writes a PNG: a column a window and a row a channel, below them the error by step.

    Args:
        examples: windows in the order of time; a few of them, evenly spaced, are shown.
        errors: name -> error at each step, `[horizon]`.
        path: where the picture goes.
        title: what was forecast.
        channels: the names of all channels.
    """
    # Matplotlib takes a second to import, which only a picture is worth.
    from matplotlib.figure import Figure

    chosen = examples[:: max(1, -(-len(examples) // SHOWN))]
    shown = channels[-SHOWN:]
    figure = Figure(figsize=(10, 2 * len(shown) + 2.4), layout="constrained")
    figure.suptitle(title)
    top, bottom = figure.subfigures(2, 1, squeeze=False, height_ratios=[len(shown), 1.2])[:, 0]
    grid = top.subplots(len(shown), len(chosen), sharex=True, squeeze=False)
    for channel, (row, name) in enumerate(zip(grid, shown, strict=True)):
        for axes, example in zip(row, chosen, strict=True):
            _draw_window(axes, example, channel)
        row[0].set_ylabel(name)
    grid[0][0].legend(fontsize=7, frameon=False)
    axes = bottom.subplots()
    for name, error in errors.items():
        axes.plot(range(1, len(error) + 1), error.tolist(), label=name)
    axes.set(xlabel="step of the horizon", ylabel="error", ylim=(0, None))
    axes.legend(fontsize=7, frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100, metadata={"Software": None})


def _draw_window(axes: "Axes", example: Example, channel: int) -> None:
    lookback, horizon = len(example.past), len(example.future)
    after = range(lookback, lookback + horizon)
    axes.plot(example.past[:, channel].tolist(), color="#999999", lw=1)
    axes.plot(after, example.future[:, channel].tolist(), color="#0072b2", lw=1, label="truth")
    axes.plot(after, example.forecast[:, channel].tolist(), color="#d55e00", lw=1, label="forecast")
