"""The pieces of text that a language model reads: Llama-2's, or learned from the corpus."""

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from tokenizers import Tokenizer
from transformers import AutoTokenizer, LlamaTokenizer
from transformers.convert_slow_tokenizer import generate_merges
from transformers.utils import sentencepiece_model_pb2_new as sentencepiece

from data.store import digest, write_atomically
from data.tokenizer import END, learn, read_tokenizer

# As we keep Llama-2's vocabulary where there is no hub.
LLAMA_FILE = "tokenizers/llama2_tokenizer.model"
LLAMA = "NousResearch/Llama-2-7b-hf"
# More text than this does not change which pieces are frequent.
LEARNED_FROM = 50_000_000


class Subwords:
    """A tokenizer with a token for the end of a document, and its hash.

    Args:
        tokenizer: the pieces.
        name: what they are called.
        end: the token behind every document.
    """

    def __init__(self, tokenizer: Tokenizer, name: str, end: int) -> None:
        # A document that contains the end's own letters has not ended.
        tokenizer.encode_special_tokens = True
        self.tokenizer, self.name, self.end = tokenizer, name, end
        self.size = tokenizer.get_vocab_size(with_added_tokens=True)
        self.content = tokenizer.to_str().encode()
        self.sha256 = hashlib.sha256(self.content).hexdigest()

    def encode(self, texts: list[str]) -> list[list[int]]:
        """Return the tokens of each text, without anything before or behind."""
        return [e.ids for e in self.tokenizer.encode_batch_fast(texts, add_special_tokens=False)]

    def save(self, path: Path) -> None:
        """Write a `tokenizer.json`, whose sha256 is this one's."""
        write_atomically(path, self.content)


def learn_subwords(texts: Iterable[str], size: int) -> Subwords:
    """Learn byte-level pieces from the beginning of a corpus; the same text gives the same ones."""
    tokenizer = learn(_beginning(texts), size)
    end = tokenizer.token_to_id(END)
    assert end is not None
    return Subwords(tokenizer, f"learned, {size}", end)


def _beginning(texts: Iterable[str]) -> Iterator[str]:
    left = LEARNED_FROM
    for text in texts:
        yield text
        left -= len(text)
        if left <= 0:
            return


def load_subwords(name: str) -> Subwords:
    """Load a folder, a `tokenizer.json`, a SentencePiece `.model`, or a repository of the hub.

    Raises:
        FileNotFoundError: there is no such file, folder or repository.
        ValueError: it has no token for the end of a text, or cannot be read.
    """
    local = Path(os.environ.get("TITANS_DATA", "")) / LLAMA_FILE
    if name == LLAMA and os.environ.get("TITANS_DATA") and local.is_file():
        return _from_sentencepiece(local)
    path = Path(name)
    if path.suffix == ".model" and path.is_file():
        return _from_sentencepiece(path)
    if (path / "tokenizer.model").is_file() and not (path / "tokenizer.json").is_file():
        return _from_sentencepiece(path / "tokenizer.model")
    if path.is_file():
        return _from_file(path)
    if (path / "tokenizer.json").is_file():
        # What is loaded below does not say which file it could not read.
        read_tokenizer(path / "tokenizer.json")
    try:
        loaded = AutoTokenizer.from_pretrained(name, trust_remote_code=False)
    # The hub's own errors and those of the connection have no common ancestor but this.
    except Exception as error:
        reason = str(error).partition("\n")[0]
        raise FileNotFoundError(
            f"no tokenizer is a file or folder {name}, nor to be had from the hub under that name "
            f"({reason}): set task.tokenizer to a folder with tokenizer.json or tokenizer.model, "
            f"put llama2_tokenizer.model into TITANS_DATA/{Path(LLAMA_FILE).parent}, or set "
            "task.tokenizer=null to learn one from the corpus"
        ) from error
    if loaded.eos_token_id is None:
        raise ValueError(f"the tokenizer {name} has no token for the end of a text: take another")
    return Subwords(loaded.backend_tokenizer, name, loaded.eos_token_id)


def _from_sentencepiece(path: Path) -> Subwords:
    """Llama-2's own file: byte-pair merges in the order of their scores."""
    model = sentencepiece.ModelProto()
    try:
        model.ParseFromString(path.read_bytes())
    # The parser's error class depends on how protobuf was built.
    except Exception as error:
        raise ValueError(
            f"{path} is no SentencePiece model, or damaged ({error}): get it again, or set "
            "task.tokenizer to another"
        ) from error
    vocabulary = {piece.piece: index for index, piece in enumerate(model.pieces)}
    if "</s>" not in vocabulary:
        raise ValueError(f"{path} has no token </s> for the end of a text: take another")
    merges = generate_merges(vocabulary, {piece.piece: piece.score for piece in model.pieces})
    tokenizer = LlamaTokenizer(vocab=vocabulary, merges=merges).backend_tokenizer
    return Subwords(tokenizer, f"{path.name} {digest(path)[:12]}", vocabulary["</s>"])


def _from_file(path: Path) -> Subwords:
    tokenizer = read_tokenizer(path)
    ends = [tokenizer.token_to_id(end) for end in (END, "</s>")]
    known = [end for end in ends if end is not None]
    if not known:
        raise ValueError(f"{path} has neither {END} nor </s> for the end of a text: take another")
    return Subwords(tokenizer, path.name, known[0])
