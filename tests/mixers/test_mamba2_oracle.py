"""Mamba2 equals the module of `transformers` with the same weights."""

import pytest
import torch
from torch import Tensor, nn
from transformers import Mamba2Config
from transformers.models.mamba2.modeling_mamba2 import Mamba2Mixer

from titans.mixers import Mamba2

DIM, HEAD, STATE = 32, 16, 8


def pair(seed: int = 0) -> tuple[Mamba2, nn.Module]:
    """Ours and theirs, with weights that are all alike and none at its start."""
    torch.manual_seed(seed)
    inner = 2 * DIM
    config = Mamba2Config(
        hidden_size=DIM,
        num_heads=inner // HEAD,
        head_dim=HEAD,
        state_size=STATE,
        n_groups=1,
        num_hidden_layers=1,
        chunk_size=16,
    )
    theirs = Mamba2Mixer(config, layer_idx=0)
    ours = Mamba2(DIM, head_dim=HEAD, state=STATE)
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        gate, convolved, step = theirs.in_proj.weight.split(
            [inner, inner + 2 * STATE, inner // HEAD]
        )
        copies = {
            "gate.weight": gate,
            "projection.linear.weight": convolved,
            "projection.kernel": theirs.conv1d.weight[:, 0].T,
            "projection.bias": theirs.conv1d.bias,
            "steps.linear.weight": step,
            "steps.linear.bias": theirs.dt_bias,
            "steps.log_rate": theirs.A_log,
            "skip": theirs.D[:, None, None],
            "norm.weight": theirs.norm.weight,
            "output.weight": theirs.out_proj.weight,
        }
    ours.load_state_dict(copies)
    return ours, theirs


@pytest.mark.parametrize("time", [1, 16, 50])
def test_outputs_and_input_gradients(time: int) -> None:
    results: list[tuple[Tensor, Tensor]] = []
    for module in pair():
        x = torch.randn(2, time, DIM, generator=torch.Generator().manual_seed(1)).requires_grad_()
        y = module(x)
        y = y[0] if isinstance(y, tuple) else y
        results.append((y, torch.autograd.grad(y.cos().sum(), x)[0]))
    torch.testing.assert_close(*results, atol=1e-4, rtol=1e-4)


def test_starts_in_their_range() -> None:
    torch.manual_seed(0)
    mixer = Mamba2(512, head_dim=4)
    step = nn.functional.softplus(mixer.steps.linear.bias)
    assert 1e-3 <= step.min() < 2e-3 < 0.08 < step.max() <= 0.1
    assert 1 <= mixer.steps.log_rate.exp().min() < 2 < 15 < mixer.steps.log_rate.exp().max() <= 16
