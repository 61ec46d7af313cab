"""Sequences to classify: found in each layout, checked, and refused with their place."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from data import sequence_file
from data.classes import load_sequences
from data.nucleotides import PADDING, decode
from data.sequences import PARTS, SOURCES, Source

DATASET = "human_enhancers_cohn"
# The published counts are too many for a test.
SMALL = Source({"negative": (2, 1), "positive": (3, 2)}, longest=8)
SEQUENCES = {
    "train": [("ACGT", 0), ("acgtn", 0), ("RYACG", 1), ("T", 1), ("ACGTACGT", 1)],
    "test": [("AAAA", 0), ("CCCC", 1), ("GGGG", 1)],
}


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setitem(SOURCES, DATASET, SMALL)
    monkeypatch.setenv("TITANS_DATA", str(tmp_path))
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    load_sequences.cache_clear()
    yield
    load_sequences.cache_clear()


def frame(part: str) -> pd.DataFrame:
    return pd.DataFrame(SEQUENCES[part], columns=["seq", "label"])


def write_csv(folder: Path, name: str) -> None:
    for part in PARTS:
        path = folder / "below" / name.format(part)
        path.parent.mkdir(parents=True, exist_ok=True)
        frame(part).to_csv(path, index=False)


def write_folders(folder: Path) -> None:
    for part, sequences in SEQUENCES.items():
        for number, (sequence, label) in enumerate(sequences):
            path = folder / DATASET / part / list(SMALL.classes)[label] / f"{number}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(sequence)


def letters(part: str) -> list[tuple[str, int]]:
    found = load_sequences(DATASET, part)
    return [(decode(t), int(n)) for t, n in zip(found.tokens, found.labels, strict=True)]


def expected(part: str) -> list[tuple[str, int]]:
    return [(text.upper().translate(str.maketrans("RY", "NN")), n) for text, n in SEQUENCES[part]]


@pytest.mark.parametrize(
    "layout", ["folders", "{}_" + DATASET, DATASET + "_{}", DATASET + "/{}"], ids=str
)
def test_every_layout_is_read(layout: str, tmp_path: Path) -> None:
    if layout == "folders":
        write_folders(tmp_path)
        # The benchmark's intervals have folders of the same name.
        (tmp_path / "a" / DATASET / "test").mkdir(parents=True)
    else:
        write_csv(tmp_path, f"{layout}.csv")
    for part in PARTS:
        assert letters(part) == expected(part)
        tokens = load_sequences(DATASET, part).tokens
        assert tokens.shape[1] == SMALL.longest
        assert (tokens.diff(dim=1)[tokens[:, :-1] == PADDING] == 0).all(), "padding is at the end"


def test_the_hub_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    hub = tmp_path / "hub" / "data"
    hub.mkdir(parents=True)
    for part in PARTS:
        frame(part).to_parquet(hub / f"{part}-00000-of-00001.parquet")
    monkeypatch.setattr(sequence_file, "repository", lambda _: str(hub.parent))
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    assert [letters(part) for part in PARTS] == [expected(part) for part in PARTS]


def turned(folder: Path, classes: list[object]) -> None:
    """A copy whose classes are called otherwise."""
    rows = frame("train").assign(label=lambda rows: [classes[n] for n in rows["label"]])
    rows.to_csv(folder / f"train_{DATASET}.csv", index=False)


def test_numbers_in_another_order_are_known_where_copies_have_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SOURCES, DATASET, replace(SMALL, reordered=True))
    turned(tmp_path, [1, 0])
    assert letters("train") == expected("train")
    regulatory = SOURCES["human_ensembl_regulatory"]
    assert regulatory.reordered
    for counts in zip(*regulatory.classes.values(), strict=True):
        assert len(set(counts)) == 3, "they tell the order"


@pytest.mark.fault("a data set with altered labels", "refused by name")
@pytest.mark.parametrize(
    ("reordered", "classes"), [(False, [1, 0]), (True, ["positive", "negative"])]
)
def test_no_other_class_is_turned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reordered: bool, classes: list[object]
) -> None:
    monkeypatch.setitem(SOURCES, DATASET, replace(SMALL, reordered=reordered))
    turned(tmp_path, classes)
    with pytest.raises(ValueError, match=r"\[3, 2\] .* instead of \[2, 3\] in .*: take a whole"):
        load_sequences(DATASET, "train")


def test_one_altered_label_turns_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # As of human_enhancers_cohn, one sequence more is negative than positive.
    classes = {"negative": (3, 1), "positive": (2, 2)}
    monkeypatch.setitem(SOURCES, DATASET, replace(SMALL, classes=classes))
    turned(tmp_path, [0, 1])  # two of one, three of the other
    with pytest.raises(ValueError, match=r"\[2, 3\] .* instead of \[3, 2\]"):
        load_sequences(DATASET, "train")


@pytest.mark.fault(
    "a data file that is empty, truncated or of another encoding", "refused by name and line"
)
@pytest.mark.parametrize(
    ("lines", "named"),
    [
        (["seq,label", "ACGT,0", "AC-T,1"], ["line 3", "'-' at position 3 is no nucleotide"]),
        (["seq,label", "ACGT,0", ",1"], ["line 3", "empty"]),
        (["seq,label", "ACGTACGTA,0"], ["line 2", "9 nucleotides", "longest", "(8)"]),
        (["seq,label", "ACGT,2"], ["line 2", "'2' is no class of negative, positive"]),
        (["seq,label", "ACGT"], ["line 2", "'' is no class"]),
        (["dna,label", "ACGT,0"], ["line 1", "dna, label", "seq,label"]),
        (["seq,label", "ACGT,0", "ACGT,1"], ["[1, 1]", "[2, 3] in", "csv: take a whole"]),
        (["seq,label"], ["[0, 0]", "[2, 3]", "take a whole"]),
        ([], ["line 1", "none"]),
        pytest.param(
            ["seq,label", '"ACGT,0', "A" * 2**17], ["line 3", "is a quote open"], id="open quote"
        ),
    ],
    ids=str,
)
def test_a_wrong_file_is_refused(lines: list[str], named: list[str], tmp_path: Path) -> None:
    path = tmp_path / f"train_{DATASET}.csv"
    path.write_text("".join(f"{line}\n" for line in lines))
    with pytest.raises(ValueError, match=r"train") as refused:
        load_sequences(DATASET, "train")
    assert all(text in str(refused.value) for text in named), refused.value
    assert path.name in str(refused.value)


@pytest.mark.fault("a data file with a BOM", "read without it")
def test_a_mark_of_utf8_is_no_column(tmp_path: Path) -> None:
    write_csv(tmp_path, DATASET + "_{}.csv")
    for path in (tmp_path / "below").iterdir():
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert letters("train") == expected("train")


@pytest.mark.fault(
    "a data file that is empty, truncated or of another encoding", "refused by name and line"
)
@pytest.mark.parametrize(
    ("encoding", "named"),
    [
        ("utf-16", r"line 1: UTF-16, by its byte-order mark: make it UTF-8"),
        ("utf-16-le", r"line 1: a NUL, as UTF-16 has them"),
        ("latin-1", r"line 3: not UTF-8 \(byte 0xe7\): convert the file"),
    ],
)
def test_another_encoding_is_refused_at_its_line(encoding: str, named: str, tmp_path: Path) -> None:
    path = tmp_path / f"train_{DATASET}.csv"
    path.write_bytes("seq,label\nACGT,0\nAçGT,1\n".encode(encoding))
    with pytest.raises(ValueError, match=rf"train_{DATASET}\.csv, {named}"):
        load_sequences(DATASET, "train")


def test_a_wrong_file_of_a_folder_is_named(tmp_path: Path) -> None:
    write_folders(tmp_path)
    path = tmp_path / DATASET / "train" / "negative" / "1.txt"
    path.write_text("ACGT\nAC")
    with pytest.raises(ValueError, match=r"negative/1\.txt, line 1: '\\n' at position 5"):
        load_sequences(DATASET, "train")


@pytest.mark.fault("an unreachable hub", "refused, with what to set")
def test_what_cannot_be_had_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fails(*_: object, **__: object) -> None:
        raise ConnectionError("no route to it\nand more")

    monkeypatch.setattr("datasets.load_dataset", fails)
    with pytest.raises(FileNotFoundError) as refused:
        load_sequences(DATASET, "train")
    named = [f"katarinagresova/Genomic_Benchmarks_{DATASET}", "no route", "TITANS_DATA=FOLDER"]
    named += [str(tmp_path), f"train_{DATASET}.csv", "task.folds=5", "task.dataset=sample"]
    assert all(text in str(refused.value) for text in named), refused.value
