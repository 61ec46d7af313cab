"""Windows of a genome: what a batch is, that parts stay apart, and that scoring counts once."""

import gzip
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from data import genome_package
from data.genome import Genome
from data.genome_parts import PARTS
from data.intervals import Interval
from data.markov import Markov
from data.nucleotides import PADDING, UNKNOWN, decode, encode, reverse_complement
from data.pretraining import NucleotideBatches, NucleotideData, questions
from data.prompt import IGNORED

SIZE = 1500


@pytest.fixture
def fasta(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TITANS_CACHE", str(tmp_path / "cache"))
    letters = np.random.default_rng(0).choice([*"ACGT"], SIZE)
    letters[100:130] = "N"
    path = tmp_path / "some.fa"
    path.write_text(f">one\n{''.join(letters)}\n>two\nACGTTGCATT\n", encoding="ascii")
    return path


def batches(fasta: Path, **settings: object) -> NucleotideBatches:
    chosen = {
        "length": 32,
        "curriculum": [[8, 3]],
        "batch": 5,
        "reverse_complement": True,
        "seed": 0,
    }
    intervals = [Interval("one", 0, 400), Interval("one", 600, 1000), Interval("two", 0, 10)]
    return NucleotideBatches(Genome(fasta), intervals, **(chosen | settings))  # type: ignore[arg-type]


def texts(batch: dict[str, Tensor]) -> list[str]:
    """What each row asks for, with N where it asks for nothing."""
    targets = batch["targets"]
    return [decode(row) for row in targets.masked_fill(targets == IGNORED, UNKNOWN)]


def test_each_nucleotide_is_asked_for_behind_the_ones_before_it() -> None:
    batch = questions([encode("ACNGT"), encode("TA")])
    assert batch["tokens"].tolist() == [[4, 0, 1, 4, 2], [4, 3, 0, 5, 5]]
    assert batch["targets"].tolist() == [[0, 1, IGNORED, 2, 3], [3, 0, *[IGNORED] * 3]]


def test_windows_are_stretches_of_either_strand(fasta: Path) -> None:
    genome = Genome(fasta)
    wholes = [genome.letters(interval) for interval in genome.contigs]
    others = [decode(reverse_complement(encode(whole))) for whole in wholes]
    seen = {"forward": 0, "reverse": 0}
    for step in range(30):
        for text in texts(batches(fasta)[step]):
            text = text.rstrip("N")
            forward, reverse = (any(text in w for w in kind) for kind in (wholes, others))
            assert forward or reverse
            seen["forward"] += forward
            seen["reverse"] += reverse
    assert min(seen.values()) > 45
    plain = batches(fasta, reverse_complement=False)
    assert all(any(t.strip("N") in w for w in wholes) for t in texts(plain[7]))


def test_lengths_follow_the_curriculum(fasta: Path) -> None:
    lengths = [batches(fasta)[step]["tokens"].shape for step in range(6)]
    assert lengths == [(5, 8)] * 3 + [(5, 32)] * 3
    assert batches(fasta, curriculum=[])[0]["tokens"].shape == (5, 32)
    twice = batches(fasta, curriculum=[[8, 1], [4, 2], [8, 0]])
    assert [twice[step]["tokens"].shape[1] for step in range(4)] == [8, 4, 4, 32]
    halved = batches(fasta, accumulate=2)
    assert [halved[part]["tokens"].shape[1] for part in (5, 6)] == [8, 32]


def test_a_batch_is_a_function_of_seed_step_and_rank(fasta: Path) -> None:
    ours = batches(fasta)
    ours[2]
    again = pickle.loads(pickle.dumps(batches(fasta)))
    for name in ("tokens", "targets"):
        assert torch.equal(ours[4][name], again[4][name])
    for other in (batches(fasta, seed=1)[4], batches(fasta, rank=1)[4], ours[5]):
        assert not torch.equal(ours[4]["tokens"], other["tokens"])


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # One processor.
def test_processes_that_prepare_batches_read_the_same(fasta: Path) -> None:
    def run(workers: int) -> list[Tensor]:
        data = NucleotideData(fasta=fasta, block=50, length=64, steps=40, workers=workers)
        data.setup()
        return [batch["tokens"] for batch in data.train_dataloader()]

    assert all(torch.equal(*pair) for pair in zip(run(0), run(2), strict=True))


def test_a_window_of_unknown_nucleotides_alone_is_drawn_again(fasta: Path) -> None:
    def first(start: int) -> dict[str, Tensor]:
        intervals = [Interval("one", start, 130)]
        return NucleotideBatches(
            Genome(fasta),
            intervals,
            length=4,
            curriculum=[],
            batch=40,
            reverse_complement=True,
            seed=0,
        )[0]

    assert ((first(96)["targets"] != IGNORED).sum(1) > 0).all()
    with pytest.raises(ValueError, match="N alone"):
        first(100)


@pytest.mark.parametrize("length", [16, 17, 2000])
@pytest.mark.parametrize("strand", ["+", "-"])
def test_scoring_asks_for_each_known_nucleotide_once(
    fasta: Path, tmp_path: Path, length: int, strand: str
) -> None:
    bed = tmp_path / "some.bed"
    bed.write_text(
        f"one 0 90 train\none 90 333 valid 0 {strand}\none 400 500 test\ntwo 0 10 test\n", "ascii"
    )
    data = NucleotideData(fasta=fasta, bed=bed, length=length, batch=3)
    asked, most = "", 0
    for batch in data.windows("validation"):
        for tokens, targets in zip(batch["tokens"], batch["targets"], strict=True):
            chosen = targets != IGNORED
            asked += decode(targets[chosen])
            most = max(most, int((tokens != PADDING).sum()))
            # N stands before the first alone; what is read is what was asked for before.
            assert torch.equal(tokens[1:][chosen[:-1]], targets[:-1][chosen[:-1]])
    known = data.genome.letters(data.parts["validation"][0]).replace("N", "")
    assert asked == known
    assert most <= length
    count = sum(int((b["targets"] != IGNORED).sum()) for b in data.windows("test"))
    assert count == 110


def test_the_mark_is_fitted_to_the_training_part_alone(fasta: Path) -> None:
    for both in (True, False):
        data = NucleotideData(fasta=fasta, block=50, length=16, reverse_complement=both, order=2)
        data.setup()
        stretches = list(map(data.genome.tokens, data.parts["train"]))
        model = Markov(2).fit(stretches)
        model = model.fit(map(reverse_complement, stretches)) if both else model
        tests = list(map(data.genome.tokens, data.parts["test"]))
        assert data.markov_bits("test") == model.bits(tests)[0]


def test_no_window_leaves_its_part(fasta: Path) -> None:
    data = NucleotideData(fasta=fasta, block=50, length=64, batch=4, seed=1)
    data.setup()
    owner = {
        (i.contig, at): part for part in PARTS for i in data.parts[part]
        for at in range(i.start, i.end)
    }  # fmt: skip
    assert len(owner) == SIZE + 10
    read: list[Interval] = []
    data.genome.check = read.append  # type: ignore[method-assign]
    list(zip(range(50), data.train_dataloader(), strict=False))
    assert {owner[i.contig, at] for i in read for at in range(i.start, i.end)} == {"train"}


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"curriculum": [[8]]}, "task.curriculum"),
        ({"curriculum": [[1024, 5]]}, "task.length=512"),
        ({"length": 1}, "task.length"),
        ({"batch": 0}, "task.batch"),
        ({"order": -1}, "order"),
        ({"fasta": "/nowhere.fa"}, "nowhere"),
    ],
    ids=str,
)
def test_settings_that_cannot_work_are_refused(
    fasta: Path, settings: dict[str, object], named: str
) -> None:
    with pytest.raises((ValueError, OSError), match=named):
        NucleotideData(**({"fasta": fasta, "block": 50} | settings)).setup()  # type: ignore[arg-type]


def test_a_part_without_a_known_nucleotide_is_refused(fasta: Path, tmp_path: Path) -> None:
    bed = tmp_path / "some.bed"
    bed.write_text("one 0 90 train\none 101 120 valid\none 400 500 test\n", "ascii")
    with pytest.raises(ValueError, match=r"validation part .* N alone"):
        NucleotideData(fasta=fasta, bed=bed).setup()


def test_without_apt_the_message_says_what_to_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TITANS_CACHE", str(tmp_path))
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(RuntimeError, match=r"apt-get.*task\.fasta=FILE"):
        genome_package.escherichia_coli()


def test_another_genome_in_the_package_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TITANS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(genome_package, "debian_file", lambda *_: gzip.compress(b">other\nAC\n"))
    with pytest.raises(RuntimeError, match=r"does not hold .* task\.fasta=FILE"):
        genome_package.escherichia_coli()
    assert not list(tmp_path.glob("cache/**/*.fa"))
