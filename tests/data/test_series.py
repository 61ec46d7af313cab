"""The benchmark series: found, checked against what was published, and standardised."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.preprocessing import StandardScaler

from data import series_file
from data.series import SAMPLE, SOURCES, Source
from data.series_file import fill, find, load_series, read, standardize
from data.series_sample import sample
from data.store import digest

SOURCE = SOURCES["sample"]
# Of the protocol that iTransformer and the Time-Series-Library share; ETT by months of 30 days.
PARTS = {
    "ETTh1": (8640, 2880, 2880),
    "ETTh2": (8640, 2880, 2880),
    "ETTm1": (34560, 11520, 11520),
    "ETTm2": (34560, 11520, 11520),
    "ECL": (18412, 2632, 5260),
    "Traffic": (12280, 1756, 3508),
    "Weather": (36887, 5270, 10539),
}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the sample to be damaged."""
    path = tmp_path / "some" / "sample.csv"
    path.parent.mkdir()
    path.write_bytes(SAMPLE.read_bytes())
    return path


def change(path: Path, number: int, line: str | None) -> None:
    """Replaces a line of a file, the header being 1, or takes it away."""
    lines = path.read_text().splitlines()
    lines[number - 1 : number] = [] if line is None else [line]
    path.write_text("\n".join(lines) + "\n")


def test_the_sample_can_be_written_again() -> None:
    assert SAMPLE.read_bytes() == sample().encode()
    assert SAMPLE.stat().st_size < 50_000


@pytest.mark.parametrize("name", PARTS)
def test_the_parts_are_those_of_the_literature(name: str) -> None:
    assert SOURCES[name].parts == PARTS[name]
    assert sum(SOURCES[name].parts) <= SOURCES[name].rows


@pytest.mark.fault(
    "a data file that is empty, truncated or of another encoding", "refused by name and line"
)
@pytest.mark.parametrize(
    ("number", "line", "reason"),
    [
        (1, "date,load,OT", "no column wind"),
        (1, "time,load,wind,OT", "no column date"),
        (5, "2024-01-01 03:00:00,1.0,,2.0", "no number in a cell of line 5"),
        (5, "2024-01-01 03:00:00,1.0,none,2.0", "no number in a cell of line 5"),
        (5, "some day,1.0,1.0,2.0", "no date in line 5"),
        (5, "2024-01-01 02:00:00,1.0,1.0,2.0", "missing or twice before line 5"),
        (5, None, "799 rows instead of 800"),
    ],
)
def test_a_damaged_file_is_refused(copy: Path, number: int, line: str | None, reason: str) -> None:
    change(copy, number, line)
    with pytest.raises(ValueError, match=reason) as refused:
        read(copy, SOURCE)
    assert str(copy) in str(refused.value)
    assert "TITANS_DATA" in str(refused.value)


def test_a_hole_in_the_dates_is_refused(copy: Path) -> None:
    change(copy, 400, None)
    change(copy, 800, "2024-02-03 07:00:00,1.0,1.0,1.0\n2024-02-03 08:00:00,1.0,1.0,1.0")
    with pytest.raises(ValueError, match="before line 400"):
        read(copy, SOURCE)


@pytest.mark.fault(
    "a data file that is empty, truncated or of another encoding", "refused by name and line"
)
@pytest.mark.parametrize("content", [b"", b"\x00\xff", b"date\n"], ids=str)
def test_what_is_no_series_is_refused(copy: Path, content: bytes) -> None:
    copy.write_bytes(content)
    with pytest.raises(ValueError, match=r"sample\.csv"):
        read(copy, SOURCE)


@pytest.mark.fault("a data file with a BOM", "read without it")
def test_a_mark_of_utf8_is_no_column(copy: Path) -> None:
    copy.write_bytes(b"\xef\xbb\xbf" + SAMPLE.read_bytes())
    assert read(copy, SOURCE).equals(read(SAMPLE, SOURCE))


@pytest.mark.fault(
    "a data file that is empty, truncated or of another encoding", "refused by name and line"
)
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-32"])
def test_another_encoding_is_refused_by_name(copy: Path, encoding: str) -> None:
    copy.write_bytes(SAMPLE.read_text().encode(encoding))
    named = "no column" if encoding == "utf-16-be" else f"line 1: {encoding.upper()}"
    with pytest.raises(ValueError, match=rf"sample\.csv.*{named}.*TITANS_DATA"):
        read(copy, SOURCE)


def test_a_letter_of_latin_1_is_no_number(copy: Path) -> None:
    lines = SAMPLE.read_bytes().splitlines()
    copy.write_bytes(b"\n".join([*lines[:4], lines[4][:-2] + b"\xb2", *lines[5:], b""]))
    with pytest.raises(ValueError, match="no number in a cell of line 5"):
        read(copy, SOURCE)


@pytest.mark.parametrize("unit", ["²".encode("latin-1"), "²".encode(), "\ufffd".encode()])
def test_a_unit_that_lost_its_encoding_is_no_other_column(tmp_path: Path, unit: bytes) -> None:
    path = tmp_path / "some.csv"
    path.write_bytes(b"date,SWDR (W/m" + unit + b")\n2020-01-01,1\n2020-01-02,2\n")
    source = Source(
        file="some.csv",
        columns=("SWDR (W/m²)",),
        rows=2,
        first="2020-01-01 00:00",
        last="2020-01-02 00:00",
        every="1D",
        parts=(1, 0, 1),
    )
    frame = read(path, source)
    assert list(frame) == ["SWDR (W/m²)"]
    assert frame["SWDR (W/m²)"].tolist() == [1, 2]


def test_a_folder_is_searched(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TITANS_DATA", str(copy.parent.parent))
    assert find(SOURCE) == copy


@pytest.mark.fault("an unreachable hub", "refused, with what to set")
def test_without_folder_and_hub_it_is_said_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(*_: object, **__: object) -> str:
        raise ConnectionError("no route")

    monkeypatch.setattr(series_file, "hf_hub_download", offline)
    monkeypatch.setenv("TITANS_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"ETTh1\.csv.*no route.*TITANS_DATA=FOLDER"):
        load_series("ETTh1")


@pytest.mark.fault("another copy of a known data file", "said, and read")
def test_another_copy_than_the_known_one_is_said(
    copy: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("TITANS_DATA", str(copy.parent))
    copy.rename(copy.parent / "ETTh1.csv")
    find(SOURCES["ETTh1"])
    assert "sha256" in caplog.text


def test_missing_cells_take_the_value_before_them() -> None:
    values = pd.DataFrame({"a": [1.0, -9999.0, -9999.0, 4.0], "b": [-9999.0, 2.0, 3.0, -9999.0]})
    assert fill(values, -9999).to_numpy().T.tolist() == [[1, 1, 1, 4], [2, 2, 3, 3]]


def test_standardized_by_the_training_part_as_sklearn_does() -> None:
    series = np.random.default_rng(0).normal(3, 2, (50, 3))
    series[:, 2] = 7
    ours = standardize(torch.tensor(series), 30).numpy()
    np.testing.assert_allclose(ours, StandardScaler().fit(series[:30]).transform(series))


def test_the_sample_is_a_series() -> None:
    series = load_series("sample")
    assert series.shape == (SOURCE.rows, len(SOURCE.columns))
    assert series.dtype == torch.float32
    assert series[: SOURCE.parts[0]].mean(0).abs().max() < 1e-5


@pytest.mark.skipif(not os.environ.get("TITANS_DATA"), reason="no folder of real data")
@pytest.mark.parametrize("name", PARTS)
def test_the_real_file_is_what_was_published(name: str) -> None:
    """Rows, columns and dates are checked by reading it."""
    source = SOURCES[name]
    found = list(Path(os.environ["TITANS_DATA"]).rglob(Path(source.file).name))
    if not found:
        pytest.skip(f"no {source.file} there")
    assert read(found[0], source).shape == (source.rows, len(source.columns))
    assert source.sha256 in (None, digest(found[0]))
