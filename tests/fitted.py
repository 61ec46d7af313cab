"""A few steps of training."""

import torch
import torch.nn.functional as F
from torch import Tensor

from titans.models import LanguageModel


def train(model: LanguageModel, batch: Tensor, steps: int, lr: float = 1e-2) -> list[float]:
    """Fits the next tokens of one batch; returns the losses."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, betas=(0.9, 0.95))
    losses = []
    for _ in range(steps):
        logits, _ = model(batch[:, :-1])
        loss = F.cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    return losses
