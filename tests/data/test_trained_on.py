"""A checkpoint of other data than a run's is refused, and what differs is named."""

from pathlib import Path
from unittest.mock import Mock

import pytest
from lightning import LightningDataModule, Trainer

from data.babilong import Babilong
from data.babilong_training import BabilongData
from data.forecasting import ForecastData
from data.genomics import GenomicsData
from data.language import LanguageData
from data.pretraining import NucleotideData
from data.text import Text
from tests.ended import write_tides


def genomics(fold: int) -> LightningDataModule:
    return GenomicsData(dataset="sample", folds=3, fold=fold)


def forecast(dataset: str) -> LightningDataModule:
    return ForecastData(dataset=dataset, lookback=4, horizon=4, batch=4, epochs=1)


def babilong(dataset: str) -> LightningDataModule:
    return BabilongData(Babilong(dataset))


@pytest.mark.parametrize(
    ("trained", "scored", "named"),
    [
        (genomics(0), genomics(1), "task.fold=0, and this run has task.fold=1"),
        (forecast("ETTh1"), forecast("ETTh2"), "task.dataset=ETTh1"),
        (babilong("qa1"), babilong("qa2"), "task.dataset=qa1"),
    ],
)
def test_other_data_are_refused(
    trained: LightningDataModule, scored: LightningDataModule, named: str
) -> None:
    scored.load_state_dict(scored.state_dict())
    scored.load_state_dict({})
    with pytest.raises(ValueError, match=named):
        scored.load_state_dict(trained.state_dict())


def nucleotides(folder: Path, letters: str, block: int) -> NucleotideData:
    path = folder / f"{len(letters)}.fa"
    path.write_text(f">one\n{letters * 30}\n", encoding="ascii")
    return NucleotideData(fasta=path, block=block, length=8)


def test_a_genome_that_is_divided_otherwise_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TITANS_CACHE", str(tmp_path / "cache"))
    trained, divided, other = (
        nucleotides(tmp_path, *it) for it in (("ACGT", 10), ("ACGT", 12), ("ACGTT", 10))
    )
    kept = trained.state_dict()
    trained.load_state_dict(kept)
    with pytest.raises(ValueError, match=r"task\.block=10, and this run has task.block=12"):
        divided.load_state_dict(kept)
    path = tmp_path / "some.bed"
    path.write_text("one\t0\t40\ttrain\none\t40\t80\tvalid\none\t80\t120\ttest\n", "ascii")
    chosen = NucleotideData(fasta=trained.fasta, bed=path, block=10, length=8)
    chosen.load_state_dict(chosen.state_dict())
    with pytest.raises(ValueError, match=r"task\.bed=None, and this run has task\.bed=some\.bed"):
        chosen.load_state_dict(kept)
    # What is only scored may be scored on another genome.
    other.load_state_dict(kept)
    other.trainer = Mock(Trainer)
    with pytest.raises(ValueError, match=r"task\.fasta=1 contigs of 120 nucleotides"):
        other.load_state_dict(kept)


def language(folder: Path, documents: int) -> LanguageData:
    folder.mkdir()
    text = Text(str(write_tides(folder, documents)), vocabulary=300, held_out=0.2)
    return LanguageData(text, length=8, step_tokens=8, batch=1, steps=1)


def test_a_training_does_not_go_on_with_another_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TITANS_CACHE", str(tmp_path / "cache"))
    one, other = language(tmp_path / "one", 60), language(tmp_path / "other", 61)
    # What is only scored may read another text.
    other.load_state_dict(one.state_dict())
    one.trainer = other.trainer = Mock(Trainer)
    one.load_state_dict(one.state_dict())
    with pytest.raises(ValueError, match=r"task.corpus=.* shards.*train anew"):
        other.load_state_dict(one.state_dict())


def test_what_was_trained_on_is_not_scored_as_held_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TITANS_CACHE", str(tmp_path / "cache"))
    trained = language(tmp_path / "one", 60)
    kept = trained.state_dict()
    for share, scored in ((0.1, True), (0.2, True), (0.3, False)):
        text = Text(trained.text.corpus_name, vocabulary=300, held_out=share)
        data = LanguageData(text, length=8, step_tokens=8, batch=1, steps=1)
        if scored:
            data.load_state_dict(kept)
        else:
            with pytest.raises(ValueError, match=r"give task\.held_out=0\.2"):
                data.load_state_dict(kept)
    data.load_state_dict(kept | {"corpus": "another"})
