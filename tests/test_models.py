"""What every model of `conf/model` promises: one contract, whatever is inside.

Segments, chunks and windows are a few tokens, so that short sequences cross all of their borders.
"""

import math
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import hydra
import pytest
import torch
from torch import Tensor

from tests.fitted import train
from titans.models import LanguageModel

NAMES = sorted(p.stem for p in (Path(__file__).parents[1] / "conf" / "model").glob("*.yaml"))
VOCABULARY, CHUNK, SEGMENT, WINDOW, TIME = 50, 4, 8, 6, 29
PERIOD = math.lcm(CHUNK, SEGMENT, WINDOW)
BORDERS = [0, 1, CHUNK, WINDOW, SEGMENT - 1, SEGMENT, SEGMENT + 1, 2 * SEGMENT, PERIOD, TIME - 1]
SMALL = (
    "scale=tiny scale.dim=16 scale.layers=2 scale.heads=2 scale.persistent=3 "
    f"scale.chunk_size={CHUNK} scale.segment={SEGMENT} scale.window={WINDOW} "
    f"task.network.vocabulary={VOCABULARY} ~task.windows"
).split()

Make = Callable[[], LanguageModel]


def tokens(time: int = TIME, batch: int = 2, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(VOCABULARY, (batch, time), generator=generator)


def tensors(state: Any) -> Iterator[Tensor]:
    """Every tensor of a state, however it is nested."""
    if isinstance(state, Tensor):
        yield state
    elif isinstance(state, dict):
        yield from tensors(tuple(state.values()))
    elif isinstance(state, tuple | list):
        for part in state:
            yield from tensors(part)


@pytest.fixture(scope="module", params=NAMES)
def make(request: pytest.FixtureRequest, compose: Callable[..., Any]) -> Make:
    """A new model with the same weights at each call."""

    config = compose(f"model={request.param}", *SMALL)

    def build() -> LanguageModel:
        torch.manual_seed(0)
        return hydra.utils.instantiate(config.task.network, _convert_="all")

    return build


@pytest.fixture(scope="module", params=["at the start", "trained a little"])
def model(request: pytest.FixtureRequest, make: Make) -> LanguageModel:
    model = make()
    if request.param == "trained a little":
        train(model, tokens(seed=1), steps=4)
    return model.eval()


def test_logits_for_every_token(make: Make) -> None:
    for batch, time in ((1, 1), (3, TIME), (2, 0)):
        logits, _ = make()(tokens(time, batch))
        assert logits.shape == (batch, time, VOCABULARY)
        assert logits.dtype == torch.float32
        assert torch.isfinite(logits).all()


@torch.no_grad()
def test_a_token_changes_nothing_before_it(model: LanguageModel) -> None:
    text = tokens()
    before, _ = model(text)
    for at in BORDERS:
        changed = text.clone()
        changed[:, at] = (text[:, at] + 1) % VOCABULARY
        after, _ = model(changed)
        assert torch.equal(before[:, :at], after[:, :at]), f"token {at} is seen before it is read"
        assert not torch.equal(before[:, at], after[:, at])


@torch.no_grad()
@pytest.mark.parametrize(
    "sizes",
    [[1] * TIME, [0, 7, 0, 1, 9, 12, 0], [SEGMENT, SEGMENT, TIME - 2 * SEGMENT], [TIME - 1, 1]],
    ids=str,
)
def test_any_pieces_are_the_whole(model: LanguageModel, sizes: list[int]) -> None:
    text = tokens()
    whole, end = model(text)
    pieces, state = [], None
    for piece in text.split(sizes, dim=1):
        logits, state = model(piece, state)
        pieces.append(logits)
    torch.testing.assert_close(torch.cat(pieces, dim=1), whole, atol=1e-5, rtol=0)
    for found, expected in zip(tensors(state), tensors(end), strict=True):
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


@torch.no_grad()
def test_pieces_at_random_are_the_whole(model: LanguageModel) -> None:
    generator = torch.Generator().manual_seed(2)
    text = tokens(2 * PERIOD + 5)
    whole, _ = model(text)
    for _ in range(2):
        cuts = torch.randint(text.shape[1] + 1, (8,), generator=generator).sort().values.tolist()
        pieces, state = [], None
        for start, stop in zip([0, *cuts], [*cuts, text.shape[1]], strict=True):
            logits, state = model(text[:, start:stop], state)
            pieces.append(logits)
        torch.testing.assert_close(torch.cat(pieces, dim=1), whole, atol=1e-5, rtol=0)


@torch.no_grad()
def test_a_state_can_be_continued_twice(make: Make) -> None:
    model, text = make().eval(), tokens()
    _, state = model(text[:, :11])
    first, second = (model(text[:, 11:], state)[0] for _ in range(2))
    assert torch.equal(first, second)


@torch.no_grad()
def test_the_state_is_bounded(make: Make) -> None:
    model = make().eval()
    # What attends to everything has to keep everything.
    keeps_all = any(getattr(module, "window", 0) is None for module in model.modules())
    for more in (0, 3):
        short, long = (
            sum(t.numel() for t in tensors(model(tokens(n * PERIOD + more, batch=1))[1]))
            for n in (2, 5)
        )
        assert long > short if keeps_all else long == short


@torch.no_grad()
def test_a_sequence_alone_is_the_same_as_in_a_batch(model: LanguageModel) -> None:
    text = tokens(batch=3)
    together, _ = model(text)
    for row in range(3):
        alone, _ = model(text[row : row + 1])
        torch.testing.assert_close(alone[0], together[row], atol=1e-5, rtol=0)
    changed = text.clone()
    changed[0] = text[0].flip(0)
    assert torch.equal(model(changed)[0][1:], together[1:])


@torch.no_grad()
def test_rounding_stays_small(model: LanguageModel) -> None:
    exact, _ = deepcopy(model).double()(tokens())
    torch.testing.assert_close(model(tokens())[0].double(), exact, atol=2e-3, rtol=0)


def test_every_parameter_has_a_finite_gradient(model: LanguageModel) -> None:
    model.zero_grad()
    logits, _ = model(tokens(4 * SEGMENT + 3))
    (
        logits * torch.randn(logits.shape, generator=torch.Generator().manual_seed(3))
    ).sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name


def test_every_parameter_matters_once_trained_a_little(make: Make) -> None:
    model = make()
    train(model, tokens(seed=1), steps=4)
    model.zero_grad()
    logits, _ = model(tokens(4 * SEGMENT + 3))
    (
        logits * torch.randn(logits.shape, generator=torch.Generator().manual_seed(3))
    ).sum().backward()
    idle = [n for n, p in model.named_parameters() if p.numel() and not p.grad.abs().max() > 0]
    assert not idle


def test_the_same_seed_gives_the_same_numbers(make: Make) -> None:
    def run() -> tuple[list[float], list[Tensor]]:
        model = make()
        return train(model, tokens(), steps=3), list(model.parameters())

    (losses, weights), (others, again) = run(), run()
    assert losses == others
    assert all(torch.equal(one, two) for one, two in zip(weights, again, strict=True))


def test_fits_a_small_batch(make: Make) -> None:
    losses = train(make(), tokens(time=2 * SEGMENT + 2), steps=60)
    assert all(math.isfinite(loss) for loss in losses)
    assert min(losses[-5:]) < 0.5 * losses[0]
