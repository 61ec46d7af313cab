"""What 760M and 30 billion tokens take on 1, 8 and 64 H100s: `python -m tests.scale`."""

from pathlib import Path

import hydra
from torch._subclasses.fake_tensor import FakeTensorMode

import experiments.sweep  # noqa: F401  (the resolvers of its settings)
from titans.evals import Plan
from titans.evals.kernels import kernels
from titans.evals.plan import kinds
from titans.evals.scale import Device, Scale, Shape, table
from titans.models import LanguageModel
from titans.models.flops import flops_per_token

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "scale.md"
MARKS = "<!-- plan -->\n", "<!-- /plan -->"
MODELS = {"lmm": "LMM", "mac": "MAC"}
COUNTS = (1, 8, 64)
# By its maker; a ring over machines with eight links of 400 Gbit/s each. The last are assumed.
H100 = Device("H100", 989, 80, 0.9, bus=(450, 400), share=0.2, launch=5e-6, disk=2)


def shape(model: str) -> Shape:
    """The training of Table 1 at 760m, from its recipe."""
    with hydra.initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        chosen = ["experiment=language", f"model={model}", "scale=760m", "hardware=gpu"]
        task = hydra.compose("run", chosen).task
        plan: Plan = hydra.utils.instantiate(task.plan, _convert_="all")
        with FakeTensorMode():
            network: LanguageModel = hydra.utils.instantiate(task.network, _convert_="all")
    groups = list(kinds(network).values())
    kept = [plan.kept_by(blocks[0]) for blocks in groups]
    started = [kernels(blocks[0], plan.length, half=plan.half) for blocks in groups]
    sizes = [sum(p.numel() for p in block.parameters()) for block in network.backbone.blocks]
    whole = sum(p.numel() for p in network.parameters())
    return Shape(
        parameters=(whole, max(sizes), whole - sum(sizes)),
        dim=network.backbone.dim,
        blocks=len(sizes),
        state=sum(k.state * len(blocks) for k, blocks in zip(kept, groups, strict=True)),
        block_activations=max(k.activations for k in kept),
        output=plan.output(network),
        kernels=sum((2 * f + b) * len(g) for (f, b), g in zip(started, groups, strict=True)),
        flops=flops_per_token(network, plan.length),
        length=plan.length,
        sequences=plan.step_tokens // plan.length,
        steps=plan.steps,
    )


def tables() -> str:
    """A table for each model."""
    found = []
    for model, name in MODELS.items():
        it = shape(model)
        millions = f"{it.parameters[0] / 1e6:,.0f} million parameters"
        about = f"{it.steps:,} steps of {it.sequences * it.length:,} tokens, {it.kernels:,} kernels"
        plans = [Scale(it, H100, count) for count in COUNTS]
        lines = "\n".join(table(plans))
        found.append(f"**{name}**: {millions}; {about} a batch.\n\n{lines}\n")
    return "\n".join(found)


def page() -> str:
    """docs/scale.md with the tables as they are now."""
    before, rest = PAGE.read_text().split(MARKS[0])
    return before + MARKS[0] + tables() + MARKS[1] + rest.partition(MARKS[1])[2]


if __name__ == "__main__":
    print(tables())
    PAGE.write_text(page())
