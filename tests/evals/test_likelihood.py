"""Likelihoods from a shared state are those of each text read at once, whatever the model."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hydra
import pytest
import torch

from titans.evals.likelihood import Answer, Asked, likelihoods
from titans.models import LanguageModel

ROOT = Path(__file__).parents[2]
NAMES = sorted(path.stem for path in (ROOT / "conf" / "model").glob("*.yaml"))
VOCABULARY = 50
SMALL = [
    *("scale=tiny", "scale.dim=16", "scale.layers=2", "scale.heads=2", "scale.persistent=3"),
    *("scale.chunk_size=4", "scale.segment=8", "scale.window=6"),
    f"task.network.vocabulary={VOCABULARY}",
]


def make(compose: Callable[..., Any], name: str) -> LanguageModel:
    config = compose(f"model={name}", *SMALL)
    torch.manual_seed(0)
    network = hydra.utils.instantiate(config.task.network, _convert_="all").eval()
    for parameter in network.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return network


def questions() -> list[Asked]:
    """Contexts of one token and more, some of equal length; each with three continuations."""
    generator = torch.Generator().manual_seed(0)

    def ids(count: int) -> tuple[int, ...]:
        return tuple(torch.randint(VOCABULARY, (count,), generator=generator).tolist())

    contexts = [ids(length) for length in (1, 30, 5, 9, 9, 17)]
    return [Asked(context, ids(length)) for context in contexts for length in (1, 3, 7)]


@torch.no_grad()
def read_at_once(network: LanguageModel, it: Asked) -> Answer:
    tokens = torch.tensor([it.context + it.continuation])
    logits = network(tokens[:, :-1])[0][0, len(it.context) - 1 :]
    target = torch.tensor(it.continuation)
    found = logits.log_softmax(-1).gather(-1, target[:, None]).sum().item()
    return Answer(found, bool((logits.argmax(-1) == target).all()))


@pytest.mark.parametrize("name", NAMES)
def test_batched_padded_and_in_pieces_it_is_the_same(
    compose: Callable[..., Any], name: str
) -> None:
    network, asked = make(compose, name), questions()
    # What greedy decoding gives must be recognised, too.
    likeliest = int(network(torch.tensor([asked[0].context]))[0][0, -1].argmax())
    asked.append(Asked(asked[0].context, (likeliest,)))
    answers: dict[Asked, Answer] = {}
    for some in likelihoods(network, asked, batch=4, piece=6):
        answers |= some
    for it in asked:
        expected = read_at_once(network, it)
        assert answers[it].loglikelihood == pytest.approx(expected.loglikelihood, abs=1e-4)
        assert answers[it].greedy == expected.greedy
    assert answers[asked[-1]].greedy


def test_a_context_is_read_once_for_all_that_is_asked_behind_it(
    compose: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    network = make(compose, "mac")
    context, choices = tuple(range(40)), [(1,), (2, 3), (4, 5, 6), (7,)]
    calls: list[tuple[int, ...]] = []
    hidden = network.hidden

    def counted(tokens: torch.Tensor, state: Any = None) -> Any:
        calls.append(tuple(tokens.shape))
        return hidden(tokens, state)

    monkeypatch.setattr(network, "hidden", counted)
    (answers,) = likelihoods(network, [Asked(context, choice) for choice in choices])
    assert len(answers) == len(choices)
    # All but the last token, once; then it and each choice but its last token, filled up.
    assert calls == [(1, 39), (4, 3)]
    assert all(math.isfinite(answer.loglikelihood) for answer in answers.values())


def test_what_is_asked_twice_is_answered_once(compose: Callable[..., Any]) -> None:
    network, it = make(compose, "lmm"), Asked((1, 2), (3,))
    assert sum(len(answers) for answers in likelihoods(network, [it, it])) == 1
