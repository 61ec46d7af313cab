"""Refuses what has no meaning, before anything is computed with it."""

from torch import Tensor


def positive(**settings: float) -> None:
    """Refuses settings that would reverse what they scale, or leave none of it.

    Raises:
        ValueError: one is not above 0.
    """
    for name, value in settings.items():
        if not value > 0:
            raise ValueError(f"{name}={value}: set a number above 0")


def check(
    chunk_size: int,
    clip: float | None,
    gates: tuple[Tensor | tuple[Tensor, ...], ...],
    layers: int,
) -> None:
    """The arguments of `memorize`.

    Raises:
        ValueError: a chunk without a token, a bound below 0, or gates for another number of layers.
    """
    if chunk_size < 1:
        raise ValueError(f"chunk_size is {chunk_size}: a chunk has at least one token")
    if clip is not None and not clip >= 0:
        raise ValueError(f"clip={clip}: set a bound of 0 or more, or None for no bound")
    for gate in gates:
        found = (
            len(gate) if isinstance(gate, tuple) else gate.shape[3] if gate.dim() > 3 else layers
        )
        if found != layers:
            raise ValueError(f"{found} gates a token for a memory of {layers} layers")
