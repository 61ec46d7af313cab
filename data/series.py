"""The seven benchmark series of long-term forecasting, as published, and a small generated one."""

from dataclasses import dataclass
from pathlib import Path

SAMPLE = Path(__file__).parent / "samples" / "series" / "sample.csv"


@dataclass(frozen=True)
class Source:
    """What the file of a series must hold.

    Attributes:
        file: its path in the hub's repository; by the last part of it a folder is searched.
        columns: the channels, in the file's order, behind a column `date`.
        rows: how many, without the header.
        first: the date of the first row.
        last: the date of the last row.
        every: the time between two rows.
        parts: rows of the training, the validation and the test part, one after the other.
        sha256: of the published file; None for the generated one.
        uneven: rows of the published file that do not follow the one before after `every`.
    """

    file: str
    columns: tuple[str, ...]
    rows: int
    first: str
    last: str
    every: str
    parts: tuple[int, int, int]
    sha256: str | None = None
    uneven: int = 0


def _tenths(rows: int) -> tuple[int, int, int]:
    """Seven, one and two tenths of the rows; what rounding leaves over is the validation part's."""
    train, test = rows * 7 // 10, rows * 2 // 10
    return train, rows - train - test, test


def _months(per_hour: int) -> tuple[int, int, int]:
    """Twelve, four and four months of thirty days; the rows behind them are not used."""
    month = 30 * 24 * per_hour
    return 12 * month, 4 * month, 4 * month


def _transformer(name: str, sha256: str) -> Source:
    """One of the four series of electricity transformers (ETT)."""
    per_hour, every, last = (4, "15min", "19:45") if "m" in name else (1, "1h", "19:00")
    return Source(
        file=f"ETT-small/{name}.csv",
        columns=("HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "OT"),
        rows=17_420 * per_hour,
        first="2016-07-01 00:00",
        last=f"2018-06-26 {last}",
        every=every,
        parts=_months(per_hour),
        sha256=sha256,
    )


def _numbered(count: int) -> tuple[str, ...]:
    return (*(str(number) for number in range(count - 1)), "OT")


SOURCES = {
    "ETTh1": _transformer(
        "ETTh1", "f18de3ad269cef59bb07b5438d79bb3042d3be49bdeecf01c1cd6d29695ee066"
    ),
    "ETTh2": _transformer(
        "ETTh2", "a3dc2c597b9218c7ce1cd55eb77b283fd459a1d09d753063f944967dd6b9218b"
    ),
    "ETTm1": _transformer(
        "ETTm1", "6ce1759b1a18e3328421d5d75fadcb316c449fcd7cec32820c8dafda71986c9e"
    ),
    "ETTm2": _transformer(
        "ETTm2", "db973ca252c6410a30d0469b13d696cf919648d0f3fd588c60f03fdbdbadd1fd"
    ),
    "ECL": Source(
        file="electricity/electricity.csv",
        columns=_numbered(321),
        rows=26_304,
        first="2016-07-01 02:00",
        last="2019-07-02 01:00",
        every="1h",
        parts=_tenths(26_304),
        sha256="7e45845d54c5219bad0ae6bc1b5316cf8ff9cead5d33fa998a5a51c2e4a497ad",
    ),
    "Traffic": Source(
        file="traffic/traffic.csv",
        columns=_numbered(862),
        rows=17_544,
        first="2016-07-01 02:00",
        last="2018-07-02 01:00",
        every="1h",
        parts=_tenths(17_544),
        sha256="cb06463d56fa17d87f47027cd9389ceae82a69eddee51cdb61480e120dab0b16",
    ),
    "Weather": Source(
        file="weather/weather.csv",
        columns=(
            *("p (mbar)", "T (degC)", "Tpot (K)", "Tdew (degC)", "rh (%)", "VPmax (mbar)"),
            *("VPact (mbar)", "VPdef (mbar)", "sh (g/kg)", "H2OC (mmol/mol)", "rho (g/m**3)"),
            *("wv (m/s)", "max. wv (m/s)", "wd (deg)", "rain (mm)", "raining (s)", "SWDR (W/m²)"),
            *("PAR (µmol/m²/s)", "max. PAR (µmol/m²/s)", "Tlog (degC)", "OT"),
        ),
        rows=52_696,
        first="2020-01-01 00:10",
        last="2021-01-01 00:00",
        every="10min",
        parts=_tenths(52_696),
        sha256="34ee981d07313e51da2a50bb600072c8ae4a69cb4b0651f4cb93a069d7a2ba63",
        # One row twice, and a hole of 100 minutes.
        uneven=2,
    ),
    "sample": Source(
        file=SAMPLE.name,
        columns=("load", "wind", "OT"),
        rows=800,
        first="2024-01-01 00:00",
        last="2024-02-03 07:00",
        every="1h",
        parts=(400, 200, 200),
    ),
}
