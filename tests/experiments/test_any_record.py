"""Any record is read as it was written; a file that was cut or altered says the same or nothing."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.record import FAILED, FINISHED, Record, RecordError

# Whatever a command line may hold: bytes that are no UTF-8 arrive as surrogates.
TEXT = st.text(st.characters(), max_size=12)
NAME = st.text("abcz0_./ -", min_size=1, max_size=12)
NUMBERS = st.dictionaries(TEXT, st.floats() | st.integers() | st.none(), max_size=3)
PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
RECORDS = st.builds(
    Record,
    choices=st.dictionaries(st.sampled_from(["model", "task", "scale"]), NAME),
    seed=st.integers(),
    started=st.datetimes().map(lambda time: time.isoformat()),
    settings=st.dictionaries(TEXT, PLAIN | TEXT | st.lists(PLAIN, max_size=2), max_size=3),
    overrides=st.lists(TEXT, max_size=3),
    scores=NUMBERS,
    counts=NUMBERS,
    commit=TEXT,
    versions=st.dictionaries(TEXT, TEXT, max_size=2),
    machine=st.dictionaries(TEXT, TEXT | st.integers(), max_size=2),
    seconds=st.floats(0, 1e9),
    status=st.sampled_from([FINISHED, FAILED]),
    error=TEXT,
    wandb=TEXT,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("records")


@settings(max_examples=100)
@given(record=RECORDS)
def test_reads_back_what_was_written(record: Record, folder: Path) -> None:
    assert Record.read(record.write(folder)) == record


@settings(max_examples=150)
@given(record=RECORDS, data=st.data())
def test_a_file_that_was_cut_or_altered_is_refused_by_name(
    record: Record, data: st.DataObject, folder: Path
) -> None:
    path = record.write(folder)
    content = path.read_bytes()
    start = data.draw(st.integers(0, len(content) - 1))
    stop = data.draw(st.integers(start, min(len(content), start + 9)))
    digit = data.draw(st.sampled_from([m.start() for m in re.finditer(rb"\d", content)]))
    for altered in (
        content[:start],
        content[:start] + data.draw(st.binary(max_size=3)) + content[stop:],
        content[:digit] + data.draw(st.sampled_from([b"0", b"7"])) + content[digit + 1 :],
    ):
        path.write_bytes(altered)
        # White space and the like make no other record.
        with only_refused(path):
            assert Record.read(path) == record


@contextmanager
def only_refused(path: Path) -> Iterator[None]:
    """Nothing is read of a file if the error names it, in one line."""
    try:
        yield
    except RecordError as error:
        said = str(error)
        assert said.startswith(f"{path}: "), said
        assert "\n" not in said, said
