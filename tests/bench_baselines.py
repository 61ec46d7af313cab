"""`make bench-baselines`: each chunked recurrence beside its own token-by-token form.

Forward and backward of 4,096 tokens, batch 1, 4 heads of 64 (selective scan: 256 channels with
16 states), float32, and our Mamba2 mixer and gated delta rule beside what transformers has in plain
PyTorch.
Speeds are medians of 5 runs after warm-up, both sides of a ratio in turn, on 1 thread.
"""

import sys
import warnings
from collections.abc import Callable
from importlib.metadata import version
from statistics import median
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from titans.evals.measure import timings
from titans.mixers import Mamba2
from titans.ops import delta_rule, linear_attention, selective_scan

TIME, HEADS, DIM, CHANNELS, STATES = 4096, 4, 64, 256, 16
CPU = torch.device("cpu")


def sequences(*shape: int) -> list[Tensor]:
    """Queries, keys of length 1, and values."""
    queries, keys, values = torch.randn(3, *shape)
    return [F.normalize(queries, dim=-1), F.normalize(keys, dim=-1), values]


def gates(*shape: int) -> tuple[Tensor, Tensor]:
    """A share to write and a log decay."""
    return torch.rand(*shape), -0.1 * torch.rand(*shape)


def step(function: Callable[..., Any], arguments: list[Tensor]) -> Callable[[], None]:
    """Forward and backward."""
    leaves = [x.detach().clone().requires_grad_() for x in arguments]

    def call() -> None:
        outputs = function(*leaves)
        outputs = outputs[0] if isinstance(outputs, tuple) else outputs
        torch.autograd.grad(outputs.square().sum(), leaves)

    return call


def pairs() -> dict[str, tuple[Callable[[], None], Callable[[], None]]]:
    """What is compared: (ours, the other)."""
    torch.manual_seed(0)
    heads = 1, HEADS, TIME, DIM
    beta, decay = gates(*heads[:3])
    scan = [
        torch.randn(1, TIME, CHANNELS),
        0.1 * torch.rand(1, TIME, CHANNELS),
        -torch.rand(CHANNELS, STATES),
        *torch.randn(2, 1, TIME, STATES),
        torch.ones(CHANNELS),
    ]
    ops = {
        "linear attention, a decay a head": (linear_attention, [*sequences(*heads), decay]),
        "linear attention, a decay a channel": (
            linear_attention, [*sequences(*heads), gates(*heads)[1]]
        ),
        "delta rule": (delta_rule, [*sequences(*heads), beta]),
        "gated delta rule": (delta_rule, [*sequences(*heads), beta, decay]),
        "selective scan": (selective_scan, scan),
    }  # fmt: skip
    found = {
        f"{name}: chunked against recurrent": (
            step(module.chunked, inputs), step(module.recurrent, inputs)
        )
        for name, (module, inputs) in ops.items()
    }  # fmt: skip
    return found | against_transformers([*sequences(*heads), beta, decay])


def against_transformers(
    inputs: list[Tensor],
) -> dict[str, tuple[Callable[[], None], Callable[[], None]]]:
    """Two layers that `transformers` has in plain PyTorch."""
    from transformers import Mamba2Config
    from transformers.models.mamba2.modeling_mamba2 import Mamba2Mixer
    from transformers.models.qwen3_next.modeling_qwen3_next import torch_chunk_gated_delta_rule

    width = HEADS * DIM
    config = Mamba2Config(
        hidden_size=width, num_heads=2 * width // DIM, head_dim=DIM, state_size=128, n_groups=1
    )
    x = [torch.randn(1, TIME, width)]

    def theirs(q: Tensor, k: Tensor, v: Tensor, beta: Tensor, decay: Tensor) -> Tensor:
        q, k, v, decay, beta = (z.transpose(1, 2) for z in (q, k, v, decay, beta))
        return torch_chunk_gated_delta_rule(q, k, v, g=decay, beta=beta)[0]

    return {
        "gated delta rule against transformers": (
            step(delta_rule.chunked, inputs), step(theirs, inputs)
        ),
        "Mamba2 mixer against transformers": (
            step(Mamba2(width, head_dim=DIM, state=128), x),
            step(Mamba2Mixer(config, layer_idx=0), x),
        ),
    }  # fmt: skip


def main() -> int:
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    print(f"torch {torch.__version__}, transformers {version('transformers')}")
    slower = 0
    for name, calls in pairs().items():
        clocks = zip(*(timings(call, CPU, runs=5) for call in calls), strict=True)
        ours, other = (median(times) for times in zip(*clocks, strict=True))
        slower += ours > other
        print(f"{name:<55} {1e3 * ours:8.1f} ms {other / ours:7.1f}x", flush=True)
    return int(slower > 0)


if __name__ == "__main__":
    sys.exit(main())
