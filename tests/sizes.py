"""How large every model is at every scale, and the widths that make them alike: `make sizes`."""

import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

import hydra
import torch

from titans.models import LanguageModel

ROOT = Path(__file__).resolve().parents[1]
MODELS = ROOT / "conf" / "model"
PAGE = ROOT / "FIDELITY.md"
OURS = ("tiny", "small")
SCALES = ("tiny", "small", "170m", "340m", "400m", "760m", "1.3b")
MARKS = "<!-- sizes -->\n", "<!-- /sizes -->"
WIDTHS = re.compile(r"^mlp_width: .*$", flags=re.MULTILINE)


class Size(NamedTuple):
    """Parameters of a model: all, those of the embedding, and those of the blocks' MLPs."""

    total: int
    embedding: int
    mlps: int


@cache
def build(model: str, scale: str) -> LanguageModel:
    """The network without its numbers; at the paper's scales with a vocabulary of 32,000."""
    chosen = [f"model={model}", f"scale={scale}"]
    chosen += [] if scale in OURS else ["task.network.vocabulary=32000"]
    with hydra.initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        network = hydra.compose("run", chosen).task.network
    with torch.device("meta"):
        return hydra.utils.instantiate(network, _convert_="all")


def measure(model: str, scale: str) -> Size:
    network = build(model, scale)
    parts = network, network.embedding, *(block.mlp for block in network.backbone.blocks)
    total, embedding, *mlps = (sum(p.numel() for p in part.parameters()) for part in parts)
    return Size(total, embedding, sum(mlps))


def names() -> list[str]:
    return sorted(path.stem for path in MODELS.glob("*.yaml"))


def matched() -> list[str]:
    """The models that are as large as LMM: those with widths of their own."""
    return [name for name in names() if WIDTHS.search((MODELS / f"{name}.yaml").read_text())]


TITANS = ["lmm", "mac", "mag", "mal"]


def fitting_width(model: str, scale: str) -> int:
    """The width of the MLP, a multiple of 64 (8 at our own scales), that comes closest to LMM."""
    size, blocks = measure(model, scale), build(model, scale).backbone.blocks
    unit = 8 if scale in OURS else 64
    matrices = 3 * build(model, scale).backbone.dim * len(blocks)
    left = measure("lmm", scale).total - (size.total - size.mlps)
    return unit * max(1, round(left / (matrices * unit)))


def table() -> str:
    """Millions of parameters, and in brackets those without the embedding."""
    lines = [f"| model | {' | '.join(SCALES)} |", f"|---|{'---:|' * len(SCALES)}"]
    for model in [*TITANS, *matched()]:
        sizes = (measure(model, scale) for scale in SCALES)
        cells = (f"{_millions(s.total)} ({_millions(s.total - s.embedding)})" for s in sizes)
        lines.append(f"| `{model}` | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def page() -> str:
    """FIDELITY.md with the table as it is now."""
    before, rest = PAGE.read_text().split(MARKS[0])
    return before + MARKS[0] + table() + MARKS[1] + rest.partition(MARKS[1])[2]


def _millions(count: int) -> str:
    return f"{count / 1e6:.3f}" if count < 1e7 else f"{count / 1e6:.0f}"


def main() -> None:
    """Writes the widths into `conf/model`, and the table into FIDELITY.md."""
    for model in matched():
        widths = ", ".join(f"{scale}: {fitting_width(model, scale)}" for scale in SCALES)
        path = MODELS / f"{model}.yaml"
        path.write_text(WIDTHS.sub(f"mlp_width: {{{widths}}}", path.read_text()))
    build.cache_clear()
    PAGE.write_text(page())


if __name__ == "__main__":
    main()
