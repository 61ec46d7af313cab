"""A sampler that knows where a run stands, so that a resumed run is the same run."""

from collections.abc import Iterator

from torch.utils.data import Sampler


class StepsFrom(Sampler[int]):
    """The steps from `start`; its length is that of the whole run, which Lightning counts in."""

    def __init__(self, start: int, steps: int) -> None:
        self.start, self.steps = start, steps

    def __iter__(self) -> Iterator[int]:
        """Count from the first step not yet taken."""
        return iter(range(self.start, self.steps))

    def __len__(self) -> int:
        """Return the number of steps of the whole run."""
        return self.steps
