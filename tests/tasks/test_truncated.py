"""Truncated back-propagation: gradients within segments, the state carried on, bounded memory."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import hydra
import pytest
import torch
import torch.nn.functional as F
from lightning import Trainer
from omegaconf import DictConfig
from torch import Tensor
from torch.optim import SGD
from torch.utils._pytree import tree_map_only
from torch.utils.data import DataLoader

from data.packing import PackedBatches, Stream
from titans.evals.measure import peak_megabytes
from titans.models import LanguageModel, recompute_blocks
from titans.tasks import NextToken

VOCABULARY = 50
Compose = Callable[..., DictConfig]


def made(compose: Compose, model: str, chunk: int = 8) -> LanguageModel:
    settings = [f"scale.chunk_size={chunk}", f"scale.segment={2 * chunk}"]
    settings += ["scale.dim=32", "scale.layers=2"]
    config = compose("task=lm", f"model={model}", f"task.vocabulary={VOCABULARY}", *settings)
    torch.manual_seed(0)
    network: LanguageModel = hydra.utils.instantiate(config.task.network, _convert_="all")
    return network


def batches(length: int, segment: int, sequences: int = 2) -> PackedBatches:
    tokens = torch.randint(
        VOCABULARY, (sequences * length + 1,), generator=torch.Generator().manual_seed(1)
    )
    segments = length // segment
    stream = Stream([tokens.numpy().astype("uint16")])
    return PackedBatches(
        stream, length, sequences=sequences, seed=0, segments=segments, accumulate=segments
    )


def train(network: LanguageModel, data: PackedBatches) -> None:
    """Takes one step of gradient descent, of length 1 times the gradient."""
    trainer = Trainer(
        accelerator="cpu",
        max_steps=1,
        accumulate_grad_batches=data.accumulate,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    loader = DataLoader(data, sampler=range(data.accumulate), batch_size=None)  # type: ignore[arg-type]
    trainer.fit(NextToken(network, partial(SGD, lr=1.0), steps=1, warmup=0), loader)


def gradients(compose: Compose, model: str, data: PackedBatches) -> dict[str, Tensor]:
    network, before = made(compose, model), made(compose, model).state_dict()
    train(network, data)
    return {name: before[name] - weight for name, weight in network.state_dict().items()}


def by_hand(network: LanguageModel, data: PackedBatches) -> Iterator[tuple[str, Tensor]]:
    """The mean over segments of their losses, each behind a state that is cut off."""
    state: Any = None
    for index in range(data.accumulate):
        batch = data[index]
        logits, state = network(batch["tokens"], tree_map_only(Tensor, Tensor.detach, state))
        (F.cross_entropy(logits.mT, batch["targets"]) / data.accumulate).backward()
    yield from ((n, p.grad) for n, p in network.named_parameters() if p.grad is not None)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("model", ["lmm", "mac", "mag", "mamba2"])
def test_gradients_are_those_within_each_segment(compose: Compose, model: str) -> None:
    data = batches(64, 16)
    found, expected = gradients(compose, model, data), dict(by_hand(made(compose, model), data))
    assert expected
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-3, atol=1e-6)
    whole = gradients(compose, model, batches(64, 64))
    assert any(not torch.allclose(whole[name], found[name], atol=1e-5) for name in expected)


@pytest.mark.filterwarnings("ignore")
def test_one_segment_has_the_gradients_of_the_sequence(compose: Compose) -> None:
    data = batches(64, 64)
    expected = dict(by_hand(made(compose, "mac"), data))
    for name, gradient in gradients(compose, "mac", data).items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("model", ["lmm", "mac", "mag", "transformer"])
def test_blocks_computed_again_have_the_same_gradients(compose: Compose, model: str) -> None:
    data, found = batches(64, 64)[0], []
    for recomputed in (False, True):
        network = made(compose, model)
        if recomputed:
            recompute_blocks(network)
        logits, _ = network(data["tokens"])
        F.cross_entropy(logits.mT, data["targets"]).backward()
        found.append([p.grad for p in network.parameters()])
    for one, other in zip(*found, strict=True):
        assert one is not None
        assert torch.equal(one, other)


def test_blocks_computed_again_keep_less(compose: Compose) -> None:
    kept, tokens = [], torch.zeros(1, 512, dtype=torch.long)
    for recomputed in (False, True):
        network = made(compose, "mac")
        if recomputed:
            recompute_blocks(network)
        network(tokens)[0].sum().backward()
        kept.append(peak_megabytes(lambda net=network: net(tokens)[0].sum().backward(),
                                   torch.device("cpu")))  # fmt: skip
    assert kept[1] < 0.8 * kept[0]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_memory_does_not_grow_with_the_sequence(compose: Compose) -> None:
    def peak(length: int, segment: int) -> float:
        network, data = made(compose, "mac", chunk=64), batches(length, segment, sequences=1)
        return peak_megabytes(lambda: train(network, data), torch.device("cpu"))

    peak(2048, 1024)
    short, long, whole = peak(16_384, 1024), peak(131_072, 1024), peak(16_384, 16_384)
    print(f"\nsegments of 1,024: {short:.0f} MB at 16,384 tokens, {long:.0f} at 131,072; "
          f"whole: {whole:.0f} at 16,384")  # fmt: skip
    assert long < 1.2 * short + 8
    assert short < whole / 4
