"""Transformer++ equals the Llama of `transformers` with the same weights."""

from collections.abc import Callable
from typing import Any

import hydra
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from titans.models import LanguageModel

VOCABULARY, DIM, LAYERS, HEADS = 50, 32, 3, 4


def oracle(model: LanguageModel) -> LlamaForCausalLM:
    """Theirs, whose embedding has no factor of its own, and which is not tied to the output."""
    hidden = model.backbone.blocks[0].mlp.outer.in_features
    config = LlamaConfig(
        vocab_size=model.embedding.num_embeddings,
        hidden_size=model.backbone.dim,
        intermediate_size=hidden,
        num_hidden_layers=len(model.backbone.blocks),
        num_attention_heads=model.backbone.blocks[0].mixer.heads,
        rms_norm_eps=torch.finfo(torch.float32).eps,
        tie_word_embeddings=False,
    )
    weights = {
        "model.embed_tokens.weight": model.embedding.weight * model.backbone.dim**0.5,
        "model.norm.weight": model.backbone.norm.weight,
        "lm_head.weight": model.embedding.weight,
    }
    for index, block in enumerate(model.backbone.blocks):
        named = {
            "input_layernorm": block.mixer_norm.weight,
            "post_attention_layernorm": block.mlp_norm.weight,
            "self_attn.o_proj": block.mixer.output.weight,
            "mlp.down_proj": block.mlp.outer.weight,
        }
        for part, matrix in zip("qkv", block.mixer.projection.linear.weight.chunk(3), strict=True):
            named[f"self_attn.{part}_proj"] = matrix
        gate, value = block.mlp.inner.weight.chunk(2)
        named |= {"mlp.gate_proj": gate, "mlp.up_proj": value}
        weights |= {f"model.layers.{index}.{name}.weight": x for name, x in named.items()}
    theirs = LlamaForCausalLM(config)
    theirs.load_state_dict(weights)
    return theirs.eval()


@torch.no_grad()
def test_equals_llama(compose: Callable[..., Any]) -> None:
    config = compose(
        "model=transformer",
        f"scale.dim={DIM}",
        f"scale.layers={LAYERS}",
        f"scale.heads={HEADS}",
        f"task.network.vocabulary={VOCABULARY}",
    )
    torch.manual_seed(0)
    model = hydra.utils.instantiate(config.task.network, _convert_="all").eval()
    for parameter in model.parameters():
        parameter += 0.1 * torch.randn_like(parameter)
    tokens = torch.randint(VOCABULARY, (2, 40))
    expected = oracle(model)(tokens).logits
    torch.testing.assert_close(model(tokens)[0], expected, atol=1e-4, rtol=1e-4)
    _, state = model(tokens[:, :25])
    for t in range(25, 40):
        logits, state = model(tokens[:, t : t + 1], state)
        torch.testing.assert_close(logits[:, 0], expected[:, t], atol=1e-4, rtol=1e-4)
