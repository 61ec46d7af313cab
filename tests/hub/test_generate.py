"""`generate()` reads each token once, and keeps a state whose size is that of no length."""

import copy
from typing import Any

import pytest
import torch
from torch.utils._pytree import tree_leaves

from titans.evals.generate import generate

NEW = 9
GROWS = "transformer"


@pytest.fixture
def read(exported: Any, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Shapes of the tokens that the network reads."""
    shapes: list[tuple[int, ...]] = []
    hidden = exported.model.network.hidden

    def counted(tokens: torch.Tensor, state: Any = None) -> Any:
        shapes.append(tuple(tokens.shape))
        return hidden(tokens, state)

    monkeypatch.setattr(exported.model.network, "hidden", counted)
    return shapes


def greedy(exported: Any, tokens: torch.Tensor, **options: Any) -> torch.Tensor:
    return exported.model.generate(tokens, max_new_tokens=NEW, do_sample=False, **options)


def bytes_of(state: Any) -> int:
    return sum(p.numel() * p.element_size() for g in state.groups for p in tree_leaves(g.state))


def test_greedy_is_ours_and_reads_each_token_once(
    exported: Any, prompts: torch.Tensor, read: list[tuple[int, ...]]
) -> None:
    ours = generate(exported.network, prompts.tolist(), new_tokens=NEW, end=300)
    theirs = greedy(exported, prompts, eos_token_id=None)
    assert theirs[:, prompts.shape[1] :].tolist() == ours
    # The last token that is made need not be read.
    assert read == [tuple(prompts.shape), *[(len(prompts), 1)] * (NEW - 1)]


def test_without_the_state_it_is_the_same(exported: Any, prompts: torch.Tensor) -> None:
    assert torch.equal(greedy(exported, prompts), greedy(exported, prompts, use_cache=False))


def test_sampling_is_the_same_with_and_without_the_state(
    exported: Any, prompts: torch.Tensor
) -> None:
    drawn = []
    for use_cache in (True, False):
        torch.manual_seed(3)
        options = {"do_sample": True, "top_k": 20, "temperature": 0.8, "use_cache": use_cache}
        drawn.append(exported.model.generate(prompts, max_new_tokens=NEW, **options))
    assert torch.equal(*drawn)


def test_padded_on_the_left_it_is_each_alone(
    exported: Any, prompts: torch.Tensor, read: list[tuple[int, ...]]
) -> None:
    lengths = [21, 4, 13]
    mask = torch.stack([torch.arange(21) >= 21 - n for n in lengths]).long()
    together = greedy(exported, prompts * mask, attention_mask=mask, eos_token_id=None)
    assert sum(batch * time for batch, time in read) == sum(lengths) + 3 * (NEW - 1)
    for row, length in enumerate(lengths):
        alone = greedy(exported, prompts[row : row + 1, -length:], eos_token_id=None)
        assert together[row, -NEW:].tolist() == alone[0, -NEW:].tolist()


def test_beams(exported: Any, prompts: torch.Tensor) -> None:
    mask = torch.ones_like(prompts)
    mask[1, :5] = 0
    options = {"num_beams": 3, "attention_mask": mask}
    kept, anew = (greedy(exported, prompts, use_cache=use, **options) for use in (True, False))
    assert torch.equal(kept, anew)


@torch.inference_mode()
def test_the_state_does_not_grow(exported: Any, prompts: torch.Tensor) -> None:
    sizes, state = [], None
    for _ in range(4):
        # A whole number of segments, so that no chunk is unfinished.
        state = exported.model(prompts[:, :16], past_key_values=state).past_key_values
        sizes.append(bytes_of(state))
    assert state.get_seq_length() == 4 * 16
    assert (len(set(sizes)) > 1) == (exported.name == GROWS)


@torch.inference_mode()
def test_the_state_of_a_prefix_is_reused(
    exported: Any, prompts: torch.Tensor, read: list[tuple[int, ...]]
) -> None:
    state = exported.model(prompts[:, :10]).past_key_values
    for _ in range(2):
        read.clear()
        continued = greedy(exported, prompts, past_key_values=copy.deepcopy(state))
        assert read[0] == (3, 11)
        assert torch.equal(continued, greedy(exported, prompts))


@pytest.mark.parametrize("exported", ["mac"], indirect=True)
def test_a_long_prompt_is_read_in_pieces(
    exported: Any, read: list[tuple[int, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = torch.randint(1, 300, (1, 30))
    whole = greedy(exported, tokens)
    monkeypatch.setattr("titans.hub.modeling.PIECE", 7)
    read.clear()
    assert torch.equal(greedy(exported, tokens), whole)
    assert read[:5] == [(1, 7)] * 4 + [(1, 2)]


@pytest.mark.parametrize("exported", ["mac"], indirect=True)
@pytest.mark.parametrize("mask", [[1, 1, 0], [1, 0, 1], [0, 0, 0]], ids=str)
def test_other_padding_is_refused(exported: Any, mask: list[int]) -> None:
    with pytest.raises(ValueError, match="padding_side='left'"):
        exported.model(torch.ones(1, 3, dtype=torch.long), attention_mask=torch.tensor([mask]))


@pytest.mark.parametrize("exported", ["mac"], indirect=True)
def test_padding_behind_a_state_is_refused(exported: Any, prompts: torch.Tensor) -> None:
    state = exported.model(prompts).past_key_values
    with pytest.raises(ValueError, match="padding"):
        exported.model(prompts[:, :2], torch.tensor([[0, 1]] * 3), past_key_values=state)
