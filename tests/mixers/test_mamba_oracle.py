"""Mamba equals the mixer of `transformers` with the same weights."""

import pytest
import torch
from transformers import MambaConfig
from transformers.models.mamba.modeling_mamba import MambaMixer

from titans.mixers import Mamba

DIM, STATE = 32, 8


def oracle(mixer: Mamba) -> MambaMixer:
    """Theirs, which has our two input projections as one."""
    config = MambaConfig(hidden_size=DIM, state_size=STATE, num_hidden_layers=1)
    theirs = MambaMixer(config, layer_idx=0)
    theirs.load_state_dict(
        {
            "in_proj.weight": torch.cat([mixer.projection.linear.weight, mixer.gate.weight]),
            "conv1d.weight": mixer.projection.kernel.T[:, None],
            "conv1d.bias": mixer.projection.bias,
            "x_proj.weight": mixer.selection.weight,
            "dt_proj.weight": mixer.step.weight,
            "dt_proj.bias": mixer.step.bias,
            "A_log": mixer.A_log,
            "D": mixer.D,
            "out_proj.weight": mixer.output.weight,
        }
    )
    return theirs.eval()


@pytest.mark.parametrize("time", [1, 7, 150])
@torch.no_grad()
def test_equals_transformers(time: int) -> None:
    torch.manual_seed(0)
    mixer = Mamba(DIM, state=STATE)
    for parameter in (mixer.A_log, mixer.D, mixer.projection.bias):
        parameter += 0.3 * torch.randn_like(parameter)
    x = torch.randn(2, time, DIM)
    torch.testing.assert_close(mixer(x)[0], oracle(mixer)(x), atol=1e-4, rtol=1e-4)


def test_begins_as_theirs() -> None:
    torch.manual_seed(0)
    mixer = Mamba(DIM, state=STATE)
    theirs = MambaMixer(MambaConfig(hidden_size=DIM, state_size=STATE), layer_idx=0)
    torch.testing.assert_close(mixer.A_log, theirs.A_log)
    torch.testing.assert_close(mixer.D, theirs.D)
    steps = torch.nn.functional.softplus(mixer.step.bias)
    assert (steps > 0.99e-3).all()
    assert (steps < 0.101).all()
    assert mixer.step.weight.abs().max() <= theirs.time_step_rank**-0.5


@torch.no_grad()
def test_states_are_precise_under_autocast() -> None:
    torch.manual_seed(0)
    mixer, x = Mamba(DIM, state=STATE), torch.randn(2, 50, DIM)
    expected, _ = mixer(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        first, state = mixer(x[:, :33])
        second, state = mixer(x[:, 33:], state)
    assert state.scan.dtype == torch.float32
    found = torch.cat([first, second], dim=1).float()
    torch.testing.assert_close(found, expected, atol=3e-2, rtol=3e-2)
