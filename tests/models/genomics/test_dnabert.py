"""DNABERT: its k-mers as its authors write them, and a small BERT of random weights around them."""

import itertools
import random
from pathlib import Path

import pytest
import torch

from data.nucleotides import PADDING, encode
from titans.models.genomics import DNABERT, KmerTokens, load_dnabert

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
# The order in the published vocabulary is another one than ours.
WORDS = SPECIAL + ["".join(letters) for letters in itertools.product("ATCG", repeat=6)]
VOCABULARY = {word: number for number, word in enumerate(WORDS)}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of a few weights, saved as the published one is."""
    from transformers import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("dnabert")
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    torch.manual_seed(0)
    config = BertConfig(vocab_size=len(WORDS), intermediate_size=32, **sizes)
    BertModel(config).save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    return folder


def batch(*sequences: str, time: int) -> torch.Tensor:
    rows = [encode(sequence).tolist() for sequence in sequences]
    return torch.tensor([row + [PADDING] * (time - len(row)) for row in rows])


def as_written(sequence: str, width: int = 6) -> list[str]:
    """The words of a sequence between BERT's two marks; one with an N is unknown."""
    kmers = [sequence[start : start + width] for start in range(len(sequence) - width + 1)]
    return ["[CLS]", *(word if "N" not in word else "[UNK]" for word in kmers), "[SEP]"]


@pytest.mark.parametrize("time", [24, 30])
def test_kmers_stand_between_two_marks(time: int) -> None:
    rng = random.Random(0)
    sequences = ["".join(rng.choices("ACGT", k=length)) for length in (24, 9, 6, 5, 1)]
    sequences.append("ACGTACGNACGTACGTAA")
    numbers, there = KmerTokens(VOCABULARY, PADDING)(batch(*sequences, time=time))
    for sequence, row, mask in zip(sequences, numbers, there, strict=True):
        assert [WORDS[n] for n in row[mask]] == as_written(sequence)
        assert (row[~mask] == VOCABULARY["[PAD]"]).all()


def test_a_sequence_is_read_as_far_as_bert_can() -> None:
    tokens = batch("ACGTTGCA" * 100, time=800)
    numbers, there = KmerTokens(VOCABULARY, PADDING)(tokens)
    assert numbers.shape == (1, 512)
    assert there.all()
    assert WORDS[int(numbers[0, -1])] == "[SEP]"


def test_it_tokenises_as_the_librarys_tokenizer_does(checkpoint: Path) -> None:
    from transformers import BertTokenizer

    tokenizer = BertTokenizer.from_pretrained(checkpoint, do_lower_case=False)
    sequence = "ACGTTGCATTNACCA"
    kmers = " ".join(sequence[start : start + 6] for start in range(len(sequence) - 5))
    numbers, _ = KmerTokens(VOCABULARY, PADDING)(batch(sequence, time=len(sequence)))
    assert numbers[0].tolist() == tokenizer(kmers)["input_ids"]


@torch.no_grad()
def test_padding_changes_nothing(checkpoint: Path) -> None:
    network = load_dnabert(str(checkpoint), PADDING, classes=3).eval()
    assert isinstance(network, DNABERT)
    sequences = ["ACGTTGCATTACCA", "ACGTTGC"]
    logits = network(batch(*sequences, time=14))
    assert logits.shape == (2, 3)
    torch.testing.assert_close(network(batch(*sequences, time=40)), logits)
    torch.testing.assert_close(network(batch(sequences[1], time=7)), logits[1:])


def test_its_weights_are_those_of_the_checkpoint_and_learn(checkpoint: Path) -> None:
    first, second = (load_dnabert(str(checkpoint), PADDING, classes=2) for _ in range(2))
    ours, theirs = first.bert.state_dict(), second.bert.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    first(batch("ACGTTGCATT", time=10)).sum().backward()
    assert all(p.grad is not None for p in first.parameters())


def test_a_checkpoint_that_cannot_be_had_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(FileNotFoundError, match=r"nobody/DNA_bert_6.*model\.checkpoint=FOLDER"):
        load_dnabert("nobody/DNA_bert_6", PADDING, classes=2)


def test_another_vocabulary_is_refused() -> None:
    with pytest.raises(ValueError, match="has no AAAAAT"):
        KmerTokens({word: n for word, n in VOCABULARY.items() if word != "AAAAAT"}, PADDING)
    with pytest.raises(ValueError, match="has no k-mer"):
        KmerTokens({word: number for number, word in enumerate([*SPECIAL, "the"])}, PADDING)
