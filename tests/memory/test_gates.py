"""The gates of the memory as a layer: where they start, how precise and how large they are."""

import pytest
import torch

from titans.memory import Gates

CHUNK = 4


def test_forgetting_starts_near_zero() -> None:
    torch.manual_seed(0)
    alpha, eta, theta = Gates(64, 2, 16)(torch.randn(4, 100, 64))
    assert alpha.shape == eta.shape == theta.shape == (4, 2, 100)
    assert 0 < alpha.mean() < 1e-2
    assert 0.3 < eta.mean() < 0.7
    assert 0 < theta.mean() < 1


def test_the_steps_of_a_chunk_together_are_bounded() -> None:
    torch.manual_seed(0)
    alpha, eta, theta = Gates(8, 2, CHUNK, max_step=0.3)(100 * torch.randn(4, 50, 8))
    for gate in (alpha, eta):
        assert gate.min() >= 0
        assert gate.max() <= 1
    assert (theta <= 0.3 * (1 - eta) / CHUNK + 1e-6).all()


@pytest.mark.parametrize(
    "start", [(0.99999999, 0.5, 0.03), (1e-7, 1e-50, 0.03), (0.0, 0.5, 0.03), (0.1, 0.5)]
)
def test_gates_start_where_a_logit_is_finite(start: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="start="):
        Gates(8, 2, CHUNK, start=start)


def test_below_the_floor_nothing_is_written_or_forgotten() -> None:
    torch.manual_seed(0)
    gates, x = Gates(8, 2, CHUNK, step_floor=0.2), torch.randn(4, 50, 8)
    gates.linear.weight.data.mul_(3)
    alpha, eta, theta = gates(x)
    assert alpha[theta == 0].eq(0).all()
    assert alpha[theta > 0].gt(0).all()
    share = theta / (gates.max_step * (1 - eta))
    sigmoid = gates.linear(x).sigmoid()[..., 4:].movedim(1, -1)
    assert share[sigmoid < 0.2].eq(0).all()
    torch.testing.assert_close(share[sigmoid > 0.2], (sigmoid[sigmoid > 0.2] - 0.2) / 0.8)
    assert 0.1 < (share == 0).float().mean() < 0.9


def test_the_floor_does_not_move_where_the_step_starts() -> None:
    _, eta, theta = Gates(8, 2, CHUNK, step_floor=0.1)(torch.zeros(1, 3, 8))
    torch.testing.assert_close(theta / (2 / CHUNK * (1 - eta)), torch.full((1, 2, 3), 0.03))


@pytest.mark.parametrize("floor", [-0.1, 1.0, float("nan")])
def test_a_floor_leaves_something_above(floor: float) -> None:
    with pytest.raises(ValueError, match="step_floor="):
        Gates(8, 2, CHUNK, step_floor=floor)


def test_without_momentum_and_without_forgetting() -> None:
    x = torch.randn(2, 5, 8)
    alpha, eta, theta = Gates(8, 2, CHUNK, momentum=False)(x)
    assert eta.eq(0).all()
    assert alpha.gt(0).all()
    alpha, eta, theta = Gates(8, 2, CHUNK, forget=False)(x)
    assert alpha.eq(0).all()
    assert eta.gt(0).all()
    assert theta.gt(0).all()


def test_gates_stay_precise_in_bfloat16() -> None:
    alpha, _, _ = Gates(8, 2, CHUNK, start=(3e-4, 0.5, 0.5)).bfloat16()(
        torch.zeros(1, 3, 8, dtype=torch.bfloat16)
    )
    assert alpha.dtype == torch.float32
    torch.testing.assert_close(alpha, torch.full_like(alpha, 3e-4), rtol=0.05, atol=0)


def test_gates_per_layer_have_an_axis_for_it() -> None:
    gates = Gates(8, 2, CHUNK, layers=3)(torch.randn(4, 5, 8))
    assert all(gate.shape == (4, 2, 5, 3) for gate in gates)
