"""PatchTST equals that of `transformers` with the same weights, and keeps channels apart."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import PatchTSTConfig, PatchTSTForPrediction

from titans.models.forecasting import PatchTST

LOOKBACK, HORIZON, CHANNELS, STRIDE = 40, 13, 3, 4


def make(**changes: float) -> PatchTST:
    """A small one in float64, every number of it drawn at random."""
    torch.manual_seed(0)
    sizes = {"dim": 8, "layers": 2, "heads": 2, "mlp_width": 12, "patch": 8, "stride": STRIDE}
    model = PatchTST(
        lookback=LOOKBACK,
        horizon=HORIZON,
        channels=CHANNELS,
        **(sizes | {"dropout": 0.0} | changes),
    ).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.2 * torch.randn_like(parameter)
        for name, buffer in model.named_buffers():
            if "running" in name:
                buffer.uniform_(0.5, 2)
    return model


def oracle(model: PatchTST) -> PatchTSTForPrediction:
    """Theirs on a window that is normalised and padded already."""
    config = PatchTSTConfig(
        num_input_channels=CHANNELS,
        context_length=LOOKBACK + STRIDE,
        prediction_length=HORIZON,
        patch_length=model.patch,
        patch_stride=STRIDE,
        d_model=8,
        num_hidden_layers=2,
        num_attention_heads=2,
        ffn_dim=12,
        pre_norm=False,
        positional_encoding_type="random",
        scaling=None,
        pooling_type=None,
    )
    embedder = "model.encoder.embedder.input_embedding"
    weights = {
        f"{embedder}.weight": model.embedding.weight,
        f"{embedder}.bias": model.embedding.bias,
        "model.encoder.positional_encoder.position_enc": model.positions,
        "head.projection.weight": model.head.weight,
        "head.projection.bias": model.head.bias,
    }
    for index, block in enumerate(model.blocks):
        attention = block.attention.state_dict()
        named = {f"self_attn.out_proj.{n}": attention[f"out_proj.{n}"] for n in ("weight", "bias")}
        for n in ("weight", "bias"):
            parts = attention[f"in_proj_{n}"].chunk(3)
            named |= {f"self_attn.{p}_proj.{n}": x for p, x in zip("qkv", parts, strict=True)}
        for theirs, ours in (
            ("norm_sublayer1.batchnorm", block.attention_norm),
            ("norm_sublayer3.batchnorm", block.mlp_norm),
            ("ff", block.mlp),
        ):
            named |= {f"{theirs}.{name}": x for name, x in ours.state_dict().items()}
        weights |= {f"model.encoder.layers.{index}.{name}": x for name, x in named.items()}
    theirs = PatchTSTForPrediction(config).double()
    theirs.load_state_dict(weights)
    return theirs


@pytest.mark.parametrize("training", [False, True])
def test_equals_that_of_transformers(training: bool) -> None:
    model = make()
    theirs = oracle(model).train(training)
    model.train(training)
    series = 3 + 2 * torch.randn(5, LOOKBACK, CHANNELS, dtype=torch.float64)
    standard, level = model.norm(series)
    padded = torch.cat([standard, standard[:, -1:].expand(-1, STRIDE, -1)], 1)
    expected = model.norm.reverse(theirs(past_values=padded).prediction_outputs, level)
    forecast = model(series)
    torch.testing.assert_close(forecast, expected)
    for loss in (forecast, expected):
        loss.square().sum().backward()
    torch.testing.assert_close(model.head.weight.grad, theirs.head.projection.weight.grad)
    embedding = theirs.model.encoder.embedder.input_embedding
    torch.testing.assert_close(model.embedding.weight.grad, embedding.weight.grad)


@torch.no_grad()
def test_a_channel_moves_its_own_forecast_alone() -> None:
    model = make().eval()
    series = torch.randn(2, LOOKBACK, CHANNELS, dtype=torch.float64)
    changed = series.clone()
    changed[:, 7, 1] += 1
    moved = (model(series) - model(changed)).abs().amax((0, 1))
    assert moved[1] > 0
    assert moved[[0, 2]].max() == 0


def test_patches_end_in_the_last_value_repeated() -> None:
    model = make()
    series = torch.arange(LOOKBACK, dtype=torch.float64).view(1, -1, 1).expand(1, -1, CHANNELS)
    expected: list[Tensor] = []
    ramp = F.pad(torch.arange(LOOKBACK).double()[None], (0, STRIDE), value=LOOKBACK - 1)[0]
    for start in range(0, LOOKBACK + STRIDE - model.patch + 1, STRIDE):
        expected.append(ramp[start : start + model.patch])
    assert torch.equal(model.patches(series)[0, 2], torch.stack(expected))
    assert len(expected) == len(model.positions)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"patch": 41}, ["41", "40", "patch"]),
        ({"patch": 0}, ["patch"]),
        ({"stride": 9}, ["9", "8", "stride"]),
        ({"stride": 0}, ["stride"]),
        ({"heads": 3}, ["3 heads", "8"]),
        ({"heads": 0}, ["heads"]),
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused(changes: dict[str, int], named: list[str]) -> None:
    with pytest.raises(ValueError) as refused:  # noqa: PT011 - its text is looked at below
        make(**changes)
    assert all(text in str(refused.value) for text in named)
