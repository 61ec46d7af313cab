"""The command: what it refuses, and that it leaves all of a folder or nothing."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.processors import TemplateProcessing
from transformers import AutoTokenizer

from titans import export as command
from titans.hub.folder import export
from titans.models import LanguageModel

ROOT = Path(__file__).parents[2]
Train = Callable[[str], tuple[LanguageModel, Path]]


@pytest.fixture(scope="module")
def checkpoint(trained: Train) -> Path:
    return trained("transformer")[1]


def changed(checkpoint: Path, folder: Path, **changes: Any) -> Path:
    content = torch.load(checkpoint, weights_only=True) | changes
    torch.save({k: v for k, v in content.items() if v is not None}, folder / "changed.ckpt")
    return folder / "changed.ckpt"


def test_help_says_how() -> None:
    said = subprocess.check_output([sys.executable, "-m", "titans.export", "-h"], cwd=ROOT)
    assert b"from_pretrained" in said


def test_refusals_are_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["export", str(tmp_path / "no.ckpt"), str(tmp_path / "out")])
    with pytest.raises(SystemExit, match="2"):
        command.main()
    said = capsys.readouterr().err
    assert "no.ckpt: train first" in said
    assert said.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_what_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    (tmp_path / "last.ckpt").write_bytes(b"no checkpoint")
    with pytest.raises(ValueError, match=r"last\.ckpt"):
        export(tmp_path / "last.ckpt", tmp_path / "out")


def test_other_tasks_have_no_tokenizer(checkpoint: Path, tmp_path: Path) -> None:
    run = {"choices": {"task": "genomics"}, "network": ""}
    other = changed(checkpoint, tmp_path, LanguageData=None, run=run)
    with pytest.raises(ValueError, match=r"of task=genomics.*take a checkpoint of task=lm"):
        export(other, tmp_path / "out")


@pytest.mark.parametrize(
    ("run", "named"),
    [
        ({}, "train again"),
        ({"network": "{"}, "no YAML"),
        ({"network": "_target_: os.system\ncommand: 'true'\n"}, "os.system"),
        ({"network": "vocabulary: 3\n"}, "LanguageModel"),
    ],
    ids=str,
)
def test_a_network_that_cannot_be_built_is_refused(
    checkpoint: Path, tmp_path: Path, run: dict[str, str], named: str
) -> None:
    with pytest.raises(ValueError, match=named):
        export(changed(checkpoint, tmp_path, run=run), tmp_path / "out")


def test_other_weights_are_refused(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"changed\.ckpt does not describe"):
        export(changed(checkpoint, tmp_path, state_dict={}), tmp_path / "out")


def test_the_tokenizer_puts_nothing_before_a_text(checkpoint: Path, tmp_path: Path) -> None:
    kept = torch.load(checkpoint, weights_only=True)["LanguageData"]
    pieces = Tokenizer.from_str(kept["tokenizer"])
    pieces.post_processor = TemplateProcessing("<|endoftext|> $A", None, [("<|endoftext|>", 0)])
    assert pieces.encode("tide").ids[0] == 0
    here = changed(checkpoint, tmp_path, LanguageData=kept | {"tokenizer": pieces.to_str()})
    export(here, tmp_path / "out")
    ids = AutoTokenizer.from_pretrained(tmp_path / "out")("tide")["input_ids"]
    assert ids == pieces.encode("tide", add_special_tokens=False).ids


def test_a_folder_with_something_in_it_is_left_alone(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="not empty"):
        export(checkpoint, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_file_in_the_way_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(PermissionError, match="nothing can be written"):
        export(checkpoint, tmp_path / "file" / "out")


def test_nothing_half_written_is_left(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("titans.hub.folder.card", full)
    with pytest.raises(OSError, match="No space"):
        export(checkpoint, tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_an_empty_folder_is_filled_and_the_card_has_the_facts(
    checkpoint: Path, tmp_path: Path
) -> None:
    export(checkpoint, tmp_path)
    card = (tmp_path / "README.md").read_text()
    for fact in (
        "| model | transformer |",
        "| trained on | tides |",
        "| tokens trained on | 128 |",
    ):
        assert fact in card
    assert "perplexity" not in card


def test_the_card_has_the_scores_of_the_run_alone(checkpoint: Path, tmp_path: Path) -> None:
    run = torch.load(checkpoint, weights_only=True)["run"]
    scores = {"tides/token_perplexity": 80.5, "tides/5gram_token_perplexity": 14.7}
    record = {k: run[k] for k in ("choices", "overrides", "seed")}
    here = changed(checkpoint, tmp_path)
    path = tmp_path / "record.json"
    (tmp_path / "record.txt").write_text(str(path))
    for seed, there in ((0, True), (1, False)):
        path.write_text(json.dumps(record | {"status": "finished", "scores": scores, "seed": seed}))
        export(here, tmp_path / f"out{seed}")
        card = (tmp_path / f"out{seed}" / "README.md").read_text()
        assert ("token_perplexity, held-out part, by the run's record | 80.5 |" in card) == there
        assert "5gram" not in card
