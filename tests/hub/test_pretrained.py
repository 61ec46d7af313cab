"""A folder that is exported is the model that was trained."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from data.text import Text

ROOT = Path(__file__).parents[2]
# A process that knows of titans and transformers alone.
FRESH = """
import sys
{imports}
import torch
model = AutoModelForCausalLM.from_pretrained(sys.argv[1])
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
prompt = tokenizer("the tide goes out", return_tensors="pt")
with torch.no_grad():
    logits = model(**prompt).logits
continued = model.generate(**prompt, max_new_tokens=5, do_sample=False)
torch.save([prompt["input_ids"], logits, continued], sys.argv[2])
assert "hydra" not in sys.modules and "lightning" not in sys.modules
"""
AUTO = "from transformers import AutoModelForCausalLM, AutoTokenizer"


@torch.inference_mode()
def test_logits_are_those_of_the_network(exported: Any, prompts: torch.Tensor) -> None:
    expected, _ = exported.network(prompts)
    assert torch.equal(exported.model(prompts).logits, expected)
    last = exported.model(prompts, logits_to_keep=1).logits
    torch.testing.assert_close(last, expected[:, -1:])


def test_the_file_is_plain_weights(exported: Any) -> None:
    with safe_open(exported.folder / "model.safetensors", "pt") as file:
        assert file.metadata()["format"] == "pt"
        assert set(file.keys()) == {f"network.{name}" for name in exported.network.state_dict()}
    written = {path.name for path in exported.folder.iterdir()}
    tokenizer = {"tokenizer.json", "tokenizer_config.json"}
    configs = {"config.json", "generation_config.json"}
    assert written == {"README.md", "model.safetensors", *configs, *tokenizer}
    assert all(path.stat().st_mode & 0o777 == 0o644 for path in exported.folder.iterdir())


@torch.inference_mode()
def test_saved_again_it_is_the_same(exported: Any, prompts: torch.Tensor, tmp_path: Path) -> None:
    exported.model.save_pretrained(tmp_path)
    again = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert torch.equal(again(prompts).logits, exported.model(prompts).logits)
    assert again.config.network == exported.model.config.network


def test_it_is_trained_further(exported: Any, prompts: torch.Tensor) -> None:
    model = AutoModelForCausalLM.from_pretrained(exported.folder).train()
    output = model(prompts, labels=prompts)
    output.loss.backward()
    assert output.past_key_values is None
    logits = output.logits[:, :-1].flatten(0, 1)
    expected = torch.nn.functional.cross_entropy(logits, prompts[:, 1:].flatten())
    torch.testing.assert_close(output.loss, expected)
    assert model.get_input_embeddings().weight.grad.abs().sum() > 0


@torch.inference_mode()
def test_half_precision(exported: Any, prompts: torch.Tensor) -> None:
    model = AutoModelForCausalLM.from_pretrained(exported.folder, dtype=torch.bfloat16)
    ids = model.generate(prompts, max_new_tokens=3, do_sample=False)
    assert model.dtype == torch.bfloat16
    assert ids.shape[0] == 3


@pytest.mark.parametrize("exported", ["transformer"], indirect=True)
def test_the_tokenizer_is_that_of_the_training(exported: Any, text: Text) -> None:
    tokenizer = AutoTokenizer.from_pretrained(exported.folder)
    for document in text.held_out_documents().documents[:5]:
        words = tokenizer.decode(document[:-1].tolist())
        assert [*tokenizer(words)["input_ids"], tokenizer.eos_token_id] == document.tolist()
    assert tokenizer.eos_token_id == text.end
    assert text.end not in tokenizer("a document on <|endoftext|>")["input_ids"]
    assert tokenizer.padding_side == "left"


@pytest.mark.parametrize("exported", ["mac"], indirect=True)
@pytest.mark.parametrize("imports", [f"import titans\n{AUTO}", f"{AUTO}\nimport titans"], ids=len)
def test_a_fresh_process_loads_it(exported: Any, tmp_path: Path, imports: str) -> None:
    quiet = {"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", FRESH.format(imports=imports), exported.folder, tmp_path / "said"],
        env=os.environ | quiet,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    ids, logits, continued = torch.load(tmp_path / "said", weights_only=True)
    with torch.inference_mode():
        assert torch.equal(logits, exported.network(ids)[0])
        assert torch.equal(
            continued, exported.model.generate(ids, max_new_tokens=5, do_sample=False)
        )


def test_importing_titans_imports_nothing_heavy() -> None:
    heavy = "{'torch', 'transformers', 'lightning', 'numpy'}"
    code = f"import sys, titans; assert not {heavy} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


@pytest.mark.parametrize("exported", ["transformer"], indirect=True)
def test_missing_weights_are_refused(exported: Any, tmp_path: Path) -> None:
    exported.model.save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    weights.pop("network.backbone.norm.weight")
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match=r"norm\.weight"):
        AutoModelForCausalLM.from_pretrained(tmp_path)


@pytest.mark.parametrize("exported", ["transformer"], indirect=True)
def test_a_config_executes_nothing_of_others(exported: Any, tmp_path: Path) -> None:
    exported.model.save_pretrained(tmp_path)
    config = tmp_path / "config.json"
    config.write_text(config.read_text().replace("titans.models.LanguageModel", "os.system"))
    with pytest.raises(ValueError, match=r"os\.system"):
        AutoModelForCausalLM.from_pretrained(tmp_path)
