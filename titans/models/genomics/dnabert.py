"""DNABERT (Ji et al., Bioinformatics 2021): BERT on overlapping k-mers, from a checkpoint."""

from collections.abc import Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from titans.shapes import Tokens

NUCLEOTIDES = "ACGT"


class KmerTokens(nn.Module):
    """Nucleotides to the tokens of DNABERT: `[CLS]`, the k-mer at each position, `[SEP]`.

    Args:
        vocabulary: k-mers and BERT's special tokens -> their numbers.
        padding: the nucleotide token that fills up, at the end.
        most: k-mers that are read of a sequence, the first ones.

    Raises:
        ValueError: the vocabulary lacks a k-mer or a special token.
    """

    numbers: Tensor
    powers: Tensor

    def __init__(self, vocabulary: Mapping[str, int], padding: int, *, most: int = 510) -> None:
        super().__init__()
        self.padding, self.most = padding, most
        kmers = (word for word in vocabulary if set(word) <= set(NUCLEOTIDES))
        self.width = max(map(len, kmers), default=0)
        if not self.width:
            raise ValueError("the vocabulary has no k-mer: it is not that of DNABERT")
        words = [""]
        for _ in range(self.width):
            words = [letter + word for letter in NUCLEOTIDES for word in words]
        special = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
        absent = [word for word in (*special, *words) if word not in vocabulary]
        if absent:
            raise ValueError(f"the vocabulary has no {absent[0]}: it is not that of DNABERT")
        self.filler, self.unknown, self.first, self.last = (vocabulary[word] for word in special)
        self.register_buffer("numbers", torch.tensor([vocabulary[word] for word in words]))
        self.register_buffer("powers", len(NUCLEOTIDES) ** torch.arange(self.width).flip(0))

    def forward(
        self, tokens: Tokens
    ) -> tuple[Int[Tensor, "batch words"], Bool[Tensor, "batch words"]]:
        """Token numbers `[batch, words]` of nucleotides `[batch, time]`, and where words are."""
        tokens = F.pad(tokens, (0, max(0, self.width - tokens.shape[1])), value=self.padding)
        kmers = tokens.unfold(1, self.width, 1)[:, : self.most]
        there = (kmers != self.padding).all(-1)
        known = (kmers < len(NUCLEOTIDES)).all(-1)
        # What is no known k-mer gets a number below, whatever it adds up to here.
        index = (kmers.clamp(max=len(NUCLEOTIDES) - 1) * self.powers).sum(-1)
        words = torch.where(known, self.numbers[index], self.unknown)
        words = F.pad(torch.where(there, words, self.filler), (1, 1), value=self.filler)
        words[:, 0] = self.first
        end = there.sum(1, keepdim=True) + 1
        words = words.scatter(1, end, self.last)
        return words, torch.arange(words.shape[1], device=words.device) <= end


class DNABERT(nn.Module):
    """BERT on k-mers, and a linear map of what it pools (a tanh layer over `[CLS]`).

    Args:
        bert: `BertModel` of the transformers library.
        words: nucleotides to BERT's tokens.
        classes: how many there are.
        dropout: share dropped before the linear map, in training.
    """

    def __init__(
        self, bert: nn.Module, words: KmerTokens, classes: int, *, dropout: float = 0.1
    ) -> None:
        super().__init__()
        self.bert, self.words = bert, words
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(bert.config.hidden_size, classes)  # type: ignore[union-attr, arg-type]

    def forward(self, tokens: Tokens) -> Float[Tensor, "batch classes"]:
        """Logits `[batch, classes]` of sequences `[batch, time]`."""
        words, there = self.words(tokens)
        pooled = self.bert(input_ids=words, attention_mask=there.long()).pooler_output
        return self.head(self.dropout(pooled))


def load_dnabert(checkpoint: str, padding: int, classes: int, *, dropout: float = 0.1) -> DNABERT:
    """DNABERT with the weights of a checkpoint and a new linear map.

    Args:
        checkpoint: a name on the hub, or a folder with the same files.
        padding: the nucleotide token that fills up.
        classes: how many there are.
        dropout: share dropped before the linear map, in training.

    Raises:
        FileNotFoundError: the checkpoint is not to be had.
    """
    # Take seconds to import, which only this model is worth.
    from huggingface_hub import hf_hub_download
    from transformers import BertModel

    folder = Path(checkpoint)
    try:
        vocabulary = folder / "vocab.txt" if folder.is_dir() else None
        path = vocabulary or hf_hub_download(checkpoint, "vocab.txt")
        bert = BertModel.from_pretrained(checkpoint)
    # The hub's own errors and those of the connection have no common ancestor but this.
    except Exception as error:
        reason = str(error).partition("\n")[0]
        raise FileNotFoundError(
            f"the checkpoint {checkpoint} is not to be had from the hub ({reason}): download it "
            "where there is a connection, and set model.checkpoint=FOLDER"
        ) from error
    lines = Path(path).read_text(encoding="utf-8").split()
    words = KmerTokens({word: number for number, word in enumerate(lines)}, padding)
    return DNABERT(bert, words, classes, dropout=dropout)
