"""Finds the file of a benchmark series, and refuses one that is not what was published."""

import logging
import os
from functools import cache
from pathlib import Path

import pandas as pd
import torch
from huggingface_hub import hf_hub_download
from torch import Tensor

from data.encoding import without_mark
from data.hub import asking_hub
from data.series import SAMPLE, SOURCES, Source
from data.store import digest

REPOSITORY = "thuml/Time-Series-Library"
REVISION = "2b66e59ee19dac8f6f19fb5d4997f289fdfea357"

log = logging.getLogger(__name__)


def load_series(dataset: str, missing: float | None = None) -> Tensor:
    """Return all rows, standardised by the training part, `[rows, channels]`.

    Args:
        dataset: a name in `SOURCES`.
        missing: the value of cells that are missing; see `fill`.

    Raises:
        FileNotFoundError: neither a folder nor the hub has the file.
        ValueError: the file is not what was published, or is damaged.
    """
    source = SOURCES[dataset]
    return _load(SAMPLE if dataset == "sample" else find(source), source, missing)


@cache
def _load(path: Path, source: Source, missing: float | None) -> Tensor:
    log.info("series: %s", path)
    frame = read(path, source)
    values = frame if missing is None else fill(frame, missing)
    series = torch.tensor(values.to_numpy(dtype="float64", copy=True))
    return standardize(series, source.parts[0]).float()


def find(source: Source) -> Path:
    """Return where the file is: anywhere below `$TITANS_DATA`, or from the hub."""
    name = Path(source.file).name
    folder = os.environ.get("TITANS_DATA")
    found = sorted(Path(folder).rglob(name)) if folder else []
    if found:
        _compare_digest(found[0], source)
        return found[0]
    with asking_hub(name, REPOSITORY, _mend(name), folder=folder):
        path = hf_hub_download(REPOSITORY, source.file, repo_type="dataset", revision=REVISION)
    _compare_digest(Path(path), source)
    return Path(path)


def _compare_digest(path: Path, source: Source) -> None:
    if source.sha256 not in (None, digest(path)):
        log.warning("%s is another copy than the one we know: its sha256 differs", path)


def _mend(name: str) -> str:
    return (
        f"put the published {name} into a folder and set TITANS_DATA=FOLDER, or try the code on "
        "task.dataset=sample"
    )


def read(path: Path, source: Source) -> pd.DataFrame:
    """Return the channels of a file in the published order.

    Raises:
        ValueError: a column, a row or a value is missing, or the dates have a hole.
    """

    def refuse(reason: str) -> ValueError:
        return ValueError(f"{path} {reason}: {_mend(path.name)}")

    try:
        frame = _parse(path)
    except (ValueError, OSError) as error:
        raise refuse(f"cannot be read ({str(error).partition(chr(10))[0]})") from error
    absent = [name for name in ("date", *source.columns) if _plain(name) not in frame]
    if absent:
        raise refuse(f"has no column {', '.join(absent[:3])}{' …' if len(absent) > 3 else ''}")
    if len(frame) != source.rows:
        raise refuse(f"has {len(frame)} rows instead of {source.rows}")
    values = frame[[_plain(name) for name in source.columns]].set_axis(source.columns, axis=1)
    values = values.apply(pd.to_numeric, errors="coerce")
    empty = values.isna().any(axis=1)
    if empty.any():
        raise refuse(f"has no number in a cell of line {int(empty.argmax()) + 2}")
    problem = _problem_of_dates(frame["date"], source)
    if problem:
        raise refuse(problem)
    return values


def _parse(path: Path) -> pd.DataFrame:
    with path.open("rb") as file:
        without_mark(path, file.readline())
    try:
        frame = pd.read_csv(path)
    except UnicodeDecodeError:
        frame = pd.read_csv(path, encoding="latin-1")
    return frame.rename(columns=_plain)


def _plain(name: str) -> str:
    """A column's name with ? for ² and µ, which the published Weather lost to a wrong encoding."""
    return name.encode("ascii", "replace").decode()


def _problem_of_dates(column: pd.Series, source: Source) -> str:
    """What is wrong with the dates; empty where nothing is."""
    dates = pd.to_datetime(column, errors="coerce")
    if dates.isna().any():
        return f"has no date in line {int(dates.isna().argmax()) + 2}"
    ends = f"{dates.iloc[0]:%Y-%m-%d %H:%M}", f"{dates.iloc[-1]:%Y-%m-%d %H:%M}"
    uneven = (dates.diff().iloc[1:] != pd.Timedelta(source.every)).to_numpy()
    if uneven.sum() > source.uneven:
        line = int(uneven.argmax()) + 3
        return f"has a row missing or twice before line {line} (and {uneven.sum() - 1} more)"
    if ends != (source.first, source.last):
        return f"goes from {ends[0]} to {ends[1]} instead of {source.first} to {source.last}"
    return ""


def fill(values: pd.DataFrame, missing: float) -> pd.DataFrame:
    """Replace each cell that is `missing` by the one before it, and at the start by the next."""
    return values.mask(values == missing).ffill().bfill()


def standardize(series: Tensor, train: int) -> Tensor:
    """Subtract mean and divide by deviation (of the population) of the first `train` rows."""
    mean = series[:train].mean(0)
    deviation = series[:train].std(0, unbiased=False)
    return (series - mean) / torch.where(deviation > 0, deviation, 1.0)
