"""`make bench`: how fast and how lean the memory is beside the machine and titans-pytorch.

The whole layer, forward and backward: width 256, 4 heads of 64, memory hidden 256, depth 2, batch
1, 2 threads, float32 unless a row says otherwise. Speeds are medians of 5 runs after warm-up, the
two sides of a ratio in turn; peaks are medians of three processes.
"""

import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from statistics import median

import torch
from torch import nn

from titans.evals.measure import peak_megabytes, timings
from titans.memory import NeuralMemory, compile_chunks
from titans.memory.flops import flops_per_token

CPU = torch.device("cpu")
WIDTH, HEADS, DEPTH, EXPANSION, CHUNK = 256, 4, 2, 4.0, 64
# How titans-pytorch computes the same rule; gradients at chunk starts, one memory a chunk; and its
# default, all gradients at the first memory.
PEERS = {
    "rule": {"chunk_size": 1, "batch_size": 64},
    "anchored": {"chunk_size": 64, "batch_size": 64},
    "default": {"chunk_size": 64},
}
PIECE = 1024
MATRICES = torch.randn(4, 64, 64), torch.randn(4, 64, 256)


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    what: str
    value: float
    bound: float
    at_least: bool
    unit: str = "x"

    @property
    def passed(self) -> bool:
        return self.value >= self.bound if self.at_least else self.value <= self.bound

    def __str__(self) -> str:
        sign = ">=" if self.at_least else "<="
        verdict = "pass" if self.passed else "FAIL"
        return f"{self.what:<72} {self.value:8.2f}{self.unit}  {sign} {self.bound:.2f}  {verdict}"


def layer(name: str) -> nn.Module:
    torch.manual_seed(0)
    if name == "ours":
        return NeuralMemory(WIDTH, heads=HEADS, depth=DEPTH, expansion=EXPANSION, chunk_size=CHUNK)
    from titans_pytorch import NeuralMemory as Peer

    return Peer(
        WIDTH,
        heads=HEADS,
        dim_head=WIDTH // HEADS,
        mem_model_norm_add_residual=False,
        default_model_kwargs={"depth": DEPTH, "expansion_factor": EXPANSION},
        **PEERS[name],
    )


def step(name: str, time: int, *, bfloat16: bool = False) -> Callable[[], None]:
    """Forward and backward of `time` tokens."""
    module, x = layer(name), torch.randn(1, time, WIDTH)

    def call() -> None:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bfloat16):
            y, _ = module(x)
        y.float().sum().backward()
        module.zero_grad()

    return call


def seconds(*calls: Callable[[], object], runs: int = 5) -> list[float]:
    """Medians of calls that are made in turn."""
    clocks = [timings(call, CPU, runs=runs) for call in calls]
    return [median(times) for times in zip(*zip(*clocks, strict=True), strict=True)]


def peak(name: str, time: int) -> float:
    """Peak memory above idle, the median of three processes: what an allocator keeps varies."""
    command = [sys.executable, "-m", "tests.bench", "peak", name, str(time), *sys.argv[1:]]
    done = [subprocess.run(command, capture_output=True, text=True, check=True) for _ in range(3)]
    return median(float(process.stdout.split()[-1]) for process in done)


def multiply_thousand_times() -> None:
    one, two = MATRICES
    for _ in range(1000):
        torch.bmm(one, two)


@torch.no_grad()
def stream(module: NeuralMemory, tokens: int) -> object:
    """The state after so many tokens, read in pieces."""
    state = None
    for start in range(0, tokens, PIECE):
        _, state = module(torch.randn(1, min(PIECE, tokens - start), WIDTH), state)
    return state


@torch.no_grad()
def decode(module: NeuralMemory, state: object) -> Callable[[], None]:
    """A chunk of tokens, one at a time."""
    tokens = torch.randn(CHUNK, 1, 1, WIDTH)

    def call() -> None:
        now = state
        with torch.no_grad():
            for token in tokens:
                _, now = module(token, now)

    return call


def speed() -> Iterator[Row]:
    formula = {"heads": HEADS, "depth": DEPTH, "expansion": EXPANSION, "chunk_size": CHUNK}
    rate, ours = seconds(multiply_thousand_times, step("ours", 4096))
    flops = 4096 * flops_per_token(WIDTH, **formula) / ours
    machine = 1000 * 2 * 4 * 64 * 64 * 256 / rate
    print(f"batched products {machine / 1e9:.0f} GFLOP/s; ours {4096 / ours:,.0f} tokens/s")
    yield Row("share of the machine's batched-product rate, T = 4,096", flops / machine, 0.65, True)
    for name, time, bound in (("rule", 1024, 75), ("anchored", 4096, 2.8), ("default", 4096, 1.3)):
        ours, theirs = seconds(step("ours", time), step(name, time))
        yield Row(f"speed against titans-pytorch, {name}, T = {time:,}", theirs / ours, bound, True)
    single, half = seconds(step("ours", 4096), step("ours", 4096, bfloat16=True))
    yield Row("bfloat16 autocast against float32, T = 4,096", single / half, 1.3, True)
    short, long = seconds(step("ours", 4096), step("ours", 65536))
    yield Row("time a token at T = 65,536 against 4,096", long / short / 16, 1.1, False)


def leanness() -> Iterator[Row]:
    yield Row("peak of titans-pytorch, rule, against ours, T = 1,024",
              peak("rule", 1024) / peak("ours", 1024), 150, True)  # fmt: skip
    yield Row("our peak against titans-pytorch, default, T = 4,096",
              peak("ours", 4096) / peak("default", 4096), 0.2, False)  # fmt: skip
    module = layer("ours")
    assert isinstance(module, NeuralMemory)
    stream(module, 65_536)
    # As many tokens on both sides: the more passes, the higher the most that the allocator held.
    short = peak_megabytes(lambda: [stream(module, 16_384) for _ in range(64)], CPU)
    long = peak_megabytes(lambda: stream(module, 1_048_576), CPU)
    what = "peak of streaming 1,048,576 tokens against 64 times 16,384"
    yield Row(what, long / short, 1.05, False)
    near, far = (decode(module, stream(module, at)) for at in (1_024, 1_000_000))
    early, late = seconds(near, far, runs=15)
    print(f"decoding: {1e3 * early / CHUNK:.2f} ms a token at 1,024")
    yield Row("decoding a token at 1,000,000 against 1,024", late / early, 1.05, False)


def measure_peak(name: str, time: int) -> None:
    call = step(name, time)
    call()
    call()
    print(peak_megabytes(call, CPU))


def main(arguments: list[str]) -> int:
    torch.set_num_threads(2)
    warnings.filterwarnings("ignore")
    eager = "eager" in arguments
    compile_chunks(not eager)
    if arguments[:1] == ["peak"]:
        measure_peak(arguments[1], int(arguments[2]))
        return 0
    form = "eager" if eager else "compiled"
    print(f"torch {torch.__version__}, titans-pytorch {version('titans-pytorch')}, ours {form}")
    failed = 0
    for rows in (speed(), leanness()):
        for row in rows:
            print(row, flush=True)
            failed += not row.passed
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
