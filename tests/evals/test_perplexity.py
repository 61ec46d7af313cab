"""Perplexity of whole documents: streamed, padded and batched, it is that of each read at once."""

import math
from typing import NamedTuple

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from titans.evals import NGram, Perplexity
from titans.evals.perplexity import document_losses
from titans.mixers import LMM, MAC
from titans.models import Backbone, LanguageModel
from titans.tasks import NextToken, Reading

END, VOCABULARY = 0, 50


class HeldOut(NamedTuple):
    documents: list[np.ndarray]
    words: int
    bytes: int


class Stream:
    def __init__(self, tokens: np.ndarray) -> None:
        self.tokens = tokens

    def __len__(self) -> int:
        return len(self.tokens)

    def read(self, start: int, stop: int) -> np.ndarray:
        return self.tokens[start:stop].astype(np.int64)


class Text:
    """Documents of random tokens, some of them a single one."""

    name, end, tokenizer = "some", END, '{"model": "some"}'

    def __init__(self) -> None:
        rng = np.random.default_rng(1)
        lengths = [1, 130, 7, 64, 65, 200, 3]
        self.documents = [np.append(rng.integers(1, VOCABULARY, n), END) for n in lengths]

    def held_out_documents(self, most_tokens: int | None) -> HeldOut:
        documents = self.documents[: 2 if most_tokens else None]
        return HeldOut([d.astype(np.uint16) for d in documents], words=100, bytes=1000)

    def stream(self, part: str) -> Stream:
        return Stream(np.concatenate(self.documents))


@pytest.fixture(params=["lmm", "mac"])
def network(request: pytest.FixtureRequest) -> LanguageModel:
    torch.manual_seed(0)
    make = {"lmm": lambda: LMM(16), "mac": lambda: MAC(16, segment=32)}[request.param]
    return LanguageModel(VOCABULARY, Backbone(16, 2, {"mixer": make})).double()


def task(network: LanguageModel) -> NextToken:
    return NextToken(network, torch.optim.AdamW, steps=1, warmup=0)


def loss_of(network: LanguageModel, document: np.ndarray) -> float:
    """A document read at once, behind the token that ends the one before it."""
    tokens = torch.tensor([END, *document.tolist()])
    with torch.no_grad():
        logits, _ = network(tokens[None, :-1])
    return float(F.cross_entropy(logits[0], tokens[1:], reduction="sum"))


@pytest.mark.parametrize("piece", [64, 17])
def test_in_pieces_and_side_by_side_it_is_the_same(network: LanguageModel, piece: int) -> None:
    documents = Text().documents
    losses = document_losses(network, documents, end=END, piece=piece)
    expected = torch.tensor([loss_of(network, document) for document in documents])
    torch.testing.assert_close(losses, expected.double(), rtol=1e-5, atol=1e-5)


def test_scores_share_one_sum(network: LanguageModel) -> None:
    text = Text()
    total = sum(loss_of(network, document) for document in text.documents)
    scores = {s.name: s for s in Perplexity(text, batch=3, piece=50)(task(network))}
    tokens = sum(map(len, text.documents))
    assert scores["some/token_perplexity"].value == pytest.approx(math.exp(total / tokens), 1e-5)
    assert scores["some/word_perplexity"].value == pytest.approx(math.exp(total / 100), 1e-5)
    assert scores["some/bits_per_byte"].value == pytest.approx(total / 1000 / math.log(2), 1e-5)
    counts = scores["some/token_perplexity"].counts
    assert (counts["tokens"], counts["documents"]) == (tokens, 7)


def test_no_more_is_scored_than_is_asked_for(network: LanguageModel) -> None:
    score = next(iter(Perplexity(Text(), most_tokens=1)(task(network))))
    assert score.counts["documents"] == 2


def test_counts_have_the_same_scores(network: LanguageModel) -> None:
    scores = {s.name: s for s in NGram(Text(), vocabulary=VOCABULARY)(task(network))}
    names = ["token_perplexity", "word_perplexity", "bits_per_byte"]
    assert list(scores) == [f"some/5gram_{name}" for name in names]
    # It has counted these very documents.
    assert scores["some/5gram_token_perplexity"].value < VOCABULARY / 4
    assert scores["some/5gram_token_perplexity"].counts["counted"] == 477


def test_only_so_many_tokens_are_counted(network: LanguageModel) -> None:
    score = next(iter(NGram(Text(), vocabulary=VOCABULARY, counted=100)(task(network))))
    assert score.counts["counted"] == 100


def test_a_text_in_other_pieces_than_the_training_s_is_refused(network: LanguageModel) -> None:
    scored = task(network)
    scored.reading = Reading('{"model": "some", "padding": "other"}', END, 64)
    assert list(Perplexity(Text())(scored))
    scored.reading = Reading('{"model": "other"}', END, 64)
    with pytest.raises(ValueError, match=r"other pieces.*task.tokenizer"):
        next(iter(Perplexity(Text())(scored)))
