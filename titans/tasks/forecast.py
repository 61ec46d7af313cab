"""Forecasting by squared error, stopped where the validation error no longer falls."""

import torch.nn.functional as F
from torch import Tensor

from titans.shapes import Series
from titans.tasks.validated import Validated

Windows = dict[str, Series]
"""`past` `[batch, lookback, channels]` and `future` `[batch, horizon, channels]`."""


class Forecast(Validated):
    """Trains a forecaster on windows of a standardised series.

    The network maps `[batch, lookback, channels]` to `[batch, horizon, channels]`. A token, in what
    is logged, is one time step of a window's past.
    """

    error = "mse"

    def training_step(self, batch: Windows) -> Tensor:
        """Mean squared error of the forecast of one batch of windows.

        Raises:
            DivergedError: it is infinite or NaN.
        """
        past, future = batch["past"], batch["future"]
        self.seed_step()
        loss = F.mse_loss(self.network(past), future)
        self.count(loss, past.shape[0] * past.shape[1])
        self.show({"train/loss": loss.detach()})
        return loss

    def validation_error(self) -> float:
        """Mean squared error over all validation windows."""
        squares, values = 0.0, 0
        for batch in self.trainer.datamodule.windows("validation"):  # type: ignore[attr-defined]
            past, future = batch["past"].to(self.device), batch["future"].to(self.device)
            squares += float(F.mse_loss(self.network(past), future, reduction="sum"))
            values += future.numel()
        return squares / values
