"""Windows of a series: the protocol's, all of them, and each batch a function of its step."""

from unittest.mock import Mock

import pytest
import torch
from lightning import Trainer

from data.forecasting import ForecastData, WindowBatches
from data.series import SOURCES

LOOKBACK, HORIZON = 24, 8
TRAIN, VALIDATION, TEST = SOURCES["sample"].parts


def made(**settings: object) -> ForecastData:
    chosen = {"dataset": "sample", "lookback": LOOKBACK, "horizon": HORIZON, "batch": 50}
    data = ForecastData(**chosen | settings)  # type: ignore[arg-type]
    data.setup()
    return data


@pytest.fixture(scope="module")
def data() -> ForecastData:
    return made()


def batches(**settings: int) -> WindowBatches:
    series = torch.arange(40.0)[:, None]
    chosen = {"batch": 8, "seed": 0} | settings
    return WindowBatches(series, lookback=5, horizon=3, **chosen)


@pytest.mark.parametrize(
    ("part", "first", "last"),
    [
        ("train", LOOKBACK, TRAIN),
        ("validation", TRAIN, TRAIN + VALIDATION),
        ("test", TRAIN + VALIDATION, TRAIN + VALIDATION + TEST),
    ],
)
def test_every_window_of_a_part_counts_once(
    data: ForecastData, part: str, first: int, last: int
) -> None:
    """The future goes through the part; the past may reach back before it."""
    starts = range(first, last - HORIZON + 1)
    past = torch.cat([batch["past"] for batch in data.windows(part)])
    future = torch.cat([batch["future"] for batch in data.windows(part)])
    assert len(past) == len(future) == len(starts)
    for index, start in enumerate(starts):
        assert torch.equal(past[index], data.series[start - LOOKBACK : start])
        assert torch.equal(future[index], data.series[start : start + HORIZON])


@pytest.mark.parametrize(
    ("dataset", "horizon", "windows"),
    [
        ("ETTh1", 96, (8449, 2785, 2785)),
        ("ETTh2", 720, (7825, 2161, 2161)),
        ("ETTm1", 192, (34273, 11329, 11329)),
        ("Weather", 96, (36696, 5175, 10444)),
        ("ECL", 96, (18221, 2537, 5165)),
        ("Traffic", 720, (11465, 1037, 2789)),
    ],
)
def test_as_many_windows_as_the_literature_has(
    dataset: str, horizon: int, windows: tuple[int, int, int]
) -> None:
    data = ForecastData(dataset=dataset, lookback=96, horizon=horizon)
    found = [len(data.rows(part)) - 96 - horizon + 1 for part in ("train", "validation", "test")]
    assert tuple(found) == windows
    assert data.steps == 10 * (windows[0] // 32)


def test_an_epoch_has_each_window_once_and_the_next_another_order() -> None:
    source = batches()
    epochs = [torch.cat([source[4 * e + i]["past"][:, 0, 0] for i in range(4)]) for e in (0, 1)]
    assert all(len(epoch.unique()) == 32 for epoch in epochs)
    assert not torch.equal(*epochs)


def test_past_and_future_are_one_window() -> None:
    batch = batches()[3]
    assert batch["past"].shape == (8, 5, 1)
    whole = torch.cat([batch["past"], batch["future"]], 1)[..., 0]
    assert torch.equal(whole - whole[:, :1], torch.arange(8.0).expand(8, 8))


def test_a_batch_is_a_function_of_seed_and_step() -> None:
    assert torch.equal(batches()[6]["past"], batches()[6]["past"])
    assert not torch.equal(batches()[6]["past"], batches(seed=1)[6]["past"])


def test_ranks_and_accumulation_divide_a_batch() -> None:
    whole = set(batches()[5]["past"][:, 0, 0].tolist())
    shares = [
        batches(rank=rank, ranks=2, accumulate=2)[2 * 5 + part]["past"][:, 0, 0].tolist()
        for rank in (0, 1)
        for part in (0, 1)
    ]
    assert [len(share) for share in shares] == [2] * 4
    assert {start for share in shares for start in share} == whole
    with pytest.raises(ValueError, match=r"task\.training\.batch"):
        batches(ranks=3)


def test_the_batches_go_on_at_the_trainers_step() -> None:
    data = made(epochs=3)
    data.trainer = Mock(
        Trainer, global_step=9, accumulate_grad_batches=1, global_rank=0, world_size=1
    )
    left = list(data.train_dataloader())
    data.trainer.global_step = 0
    everything = list(data.train_dataloader())
    assert len(everything) == data.steps == 3 * (369 // 50)
    assert len(left) == data.steps - 9
    assert torch.equal(left[0]["past"], everything[9]["past"])


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"dataset": "nope"}, "ETTh1"),
        ({"horizon": 720}, "task.horizon"),
        ({"lookback": 399}, "task.lookback"),
        ({"batch": 400}, "task.training.batch"),
        ({"batch": 0}, "task.training.batch"),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused(settings: dict[str, object], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        made(**settings)
