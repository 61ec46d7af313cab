"""What a step of a training takes on many devices: memory by part, communication, launches, hours.

Formulas over what a network says of itself; nothing is measured. `Device` has what is assumed.
"""

from collections.abc import Iterator
from typing import NamedTuple

FLOAT = 4
# Devices of one machine.
TOGETHER = 8


class Device(NamedTuple):
    """A GPU as its maker gives it, and what is assumed of how it is used.

    Attributes:
        name: what it is called.
        teraflops: its peak in bfloat16, dense.
        gigabytes: its memory, and the share of it that is planned with.
        bus: GB/s that a device receives in a ring of the devices of its machine, and of several.
        share: of the peak that is reached where nothing else limits it: assumed.
        launch: seconds between two kernels that PyTorch starts one by one: assumed.
        disk: GB/s at which a checkpoint is written: assumed.
    """

    name: str
    teraflops: float
    gigabytes: float
    usable: float
    bus: tuple[float, float]
    share: float
    launch: float
    disk: float


class Shape(NamedTuple):
    """A network and its training.

    Attributes:
        parameters: of the network, of its largest block, and of what is around the blocks.
        dim: width.
        blocks: how many.
        state: bytes of all states of a sequence.
        block_activations: bytes that the largest block keeps of a sequence for its gradient.
        output: bytes of the logits of a sequence and of their softmax.
        kernels: that a batch starts, with its gradient, each block computed twice.
        flops: of a token, with its gradient, nothing computed twice.
        length: tokens of a sequence.
        sequences: of a step.
        steps: of the training.
    """

    parameters: tuple[int, int, int]
    dim: int
    blocks: int
    state: int
    block_activations: int
    output: int
    kernels: int
    flops: float
    length: int
    sequences: int
    steps: int


class Scale:
    """A training on so many devices, with the model divided among them (FSDP2).

    Each block is computed a second time for its gradient (`hardware.activation_checkpointing`); the
    micro-batch is the largest that fits.

    Args:
        shape: of the training.
        device: of which kind.
        count: how many.

    Raises:
        ValueError: not even one sequence fits, or the devices cannot share a step.
    """

    def __init__(self, shape: Shape, device: Device, count: int) -> None:
        self.shape, self.device, self.count = shape, device, count
        if shape.sequences % count:
            raise ValueError(f"{count} devices cannot share {shape.sequences} sequences")
        share = shape.sequences // count
        limit = device.usable * device.gigabytes * 1e9
        fitting = [n for n in range(1, share + 1) if share % n == 0 and self.held(n) <= limit]
        if not fitting:
            raise ValueError(f"a sequence of {shape.length} tokens does not fit: set task.tbptt")
        self.micro_batch = max(fitting)
        self.accumulation = share // self.micro_batch

    def memory(self, batch: int) -> dict[str, float]:
        """Bytes on each device, by part, of a micro-batch of so many sequences."""
        shape, own = self.shape, FLOAT * self.shape.parameters[0] / self.count
        _, block, around = shape.parameters
        # The block at hand, the next one on its way, a gradient before it is divided; and what is
        # around the blocks, with its own.
        gathered = FLOAT * (3 * block + 2 * around) if self.count > 1 else 0
        inputs = FLOAT * shape.length * shape.dim * shape.blocks
        kept = inputs + shape.block_activations + shape.output
        return {
            "weights": own,
            "gradients": own,
            "AdamW's averages": 2 * own,
            "gathered blocks": gathered,
            "activations": batch * kept,
            "states of the memories": batch * shape.state,
        }

    def held(self, batch: int) -> float:
        """Bytes on each device, all parts together."""
        return sum(self.memory(batch).values())

    @property
    def received(self) -> float:
        """Bytes that a device receives a step: weights twice and gradients once a micro-batch."""
        whole = 3 * FLOAT * self.shape.parameters[0]
        return self.accumulation * whole * (self.count - 1) / self.count

    @property
    def seconds(self) -> dict[str, float]:
        """Of a step, by what would limit it if it were alone."""
        shape, device = self.shape, self.device
        # A block that is computed twice costs four passes instead of three.
        flops = 4 / 3 * shape.flops * shape.length * shape.sequences / self.count
        bus = device.bus[self.count > TOGETHER] * 1e9
        return {
            "arithmetic": flops / (device.teraflops * 1e12 * device.share),
            "launches": self.accumulation * shape.kernels * device.launch,
            "communication": self.received / bus,
        }

    @property
    def step(self) -> float:
        """Seconds of a step, if all but the slowest is hidden behind it."""
        return max(self.seconds.values())

    @property
    def checkpoint(self) -> float:
        """Bytes of a checkpoint: weights and averages."""
        return 3.0 * FLOAT * self.shape.parameters[0]

    def rows(self) -> Iterator[tuple[str, str]]:
        """What there is to know, and its value."""
        for part, size in self.memory(self.micro_batch).items():
            yield f"{part}, GB", f"{size / 1e9:.1f}"
        yield (
            f"**together**, of {self.device.gigabytes:.0f} GB",
            (f"**{self.held(self.micro_batch) / 1e9:.1f}**"),
        )
        yield "sequences at once x accumulated", f"{self.micro_batch} x {self.accumulation}"
        yield "received a step, GB", f"{self.received / 1e9:.1f}"
        for part, seconds in self.seconds.items():
            yield f"{part}, seconds a step", f"{seconds:.2f}"
        rate = self.shape.length * self.shape.sequences / self.step
        yield "tokens a second", f"{rate:,.0f}"
        yield "data read, MB a second", f"{2 * rate / 1e6:.2f}"
        yield "bottleneck", max(self.seconds, key=self.seconds.__getitem__)
        hours = self.step * self.shape.steps / 3600
        yield "**whole training, hours**", f"**{hours:,.0f}**"
        yield "device hours", f"{hours * self.count:,.0f}"
        once = self.checkpoint / 1e9 / self.device.disk
        yield "a checkpoint, seconds of steps", f"{once:.1f} s = {once / self.step:.1f} steps"


def table(plans: list[Scale]) -> Iterator[str]:
    """Lines of Markdown, a column for each number of devices."""
    yield f"| | {' | '.join(f'{plan.count} x {plan.device.name}' for plan in plans)} |"
    yield f"|---|{'---:|' * len(plans)}"
    for cells in zip(*(plan.rows() for plan in plans), strict=True):
        yield f"| {cells[0][0]} | {' | '.join(value for _, value in cells)} |"
