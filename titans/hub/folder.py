"""A checkpoint as a folder that `transformers` loads, and the hub takes."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from transformers import GenerationConfig, PreTrainedTokenizerFast

from titans.hub.card import card, scores
from titans.hub.configuration import TitansConfig
from titans.hub.modeling import TitansForCausalLM
from titans.tasks import Reading, load_checkpoint, reading_of


def export(checkpoint: Path, out: Path) -> TitansForCausalLM:
    """Writes weights, config, tokenizer and model card; all of them or nothing.

    Args:
        checkpoint: of `task=lm`.
        out: the folder; made where there is none.

    Returns:
        The model.

    Raises:
        ValueError: it is no checkpoint, of another task, or damaged.
        OSError: the folder has something in it, or cannot be written.
    """
    refuse(out)
    loaded = load_checkpoint(checkpoint)
    reading = reading_of(loaded, checkpoint)
    model, tokenizer = _model(loaded, checkpoint, reading), _tokenizer(reading)
    with _whole(out) as folder:
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        text = card(loaded, model.num_parameters(), scores(checkpoint, loaded["run"]))
        (folder / "README.md").write_text(text, encoding="utf-8")
    return model


def refuse(out: Path) -> None:
    """Raises where nothing can be written.

    Raises:
        OSError: the folder has something in it, or cannot be written.
    """
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise FileExistsError(f"{out} is there and not empty: remove it, or name another folder")
    # An empty folder is exchanged, for which the one above it is written.
    there = next(folder for folder in out.absolute().parents if folder.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise PermissionError(
            f"nothing can be written to {there}: make it a folder that you may write to, or name "
            "another"
        )


def _model(loaded: dict[str, Any], path: Path, reading: Reading) -> TitansForCausalLM:
    try:
        model = TitansForCausalLM(TitansConfig(network=loaded["run"]["network"])).eval()
        # The objective has the network under the same name, and no weights of its own.
        model.load_state_dict(loaded["state_dict"])
    except (KeyError, RuntimeError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(
            f"{path} does not describe the network that its weights are of ({reason}): it was "
            "written by another version, or damaged; train again"
        ) from error
    end = reading.end
    model.generation_config = GenerationConfig(
        # Nothing else stands before a text in training.
        bos_token_id=end,
        eos_token_id=end,
        pad_token_id=end,
    )
    return model


def _tokenizer(reading: Reading) -> Any:
    pieces = Tokenizer.from_str(reading.tokenizer)
    if pieces.num_special_tokens_to_add(is_pair=False):
        # Llama-2's puts a token before each text; the model was trained without.
        pieces.post_processor = None
    end = pieces.id_to_token(reading.end)
    return PreTrainedTokenizerFast(
        tokenizer_object=pieces,
        eos_token=end,
        pad_token=end,
        padding_side="left",
        clean_up_tokenization_spaces=False,
        # A text that contains the end's own letters has not ended.
        split_special_tokens=True,
    )


@contextmanager
def _whole(out: Path) -> Iterator[Path]:
    """A folder beside, which becomes `out` at the end if all went well."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as beside:
        # Not that folder itself, which nobody else could read.
        folder = Path(beside, out.name)
        folder.mkdir()
        yield folder
        for file in folder.iterdir():
            # Weights are written such that only their owner reads them.
            file.chmod(0o644)
        folder.replace(out)
