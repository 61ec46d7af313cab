"""Refuses what has no meaning, before anything is computed with it."""

from collections.abc import Sequence

from torch import Tensor

from titans.memory.network import MemoryState

AnyGate = Tensor | tuple[Tensor, ...]


def at_least(least: int, **sizes: int) -> None:
    """Refuses sizes of which nothing can be made.

    Raises:
        ValueError: one is below `least`.
    """
    for name, size in sizes.items():
        if size < least:
            raise ValueError(f"{name}={size}: set {least} or more")


def positive(**settings: float) -> None:
    """Refuses settings that would reverse what they scale, or leave none of it.

    Raises:
        ValueError: one is not above 0.
    """
    for name, value in settings.items():
        if not value > 0:
            raise ValueError(f"{name}={value}: set a number above 0")


def check(
    sequences: tuple[Tensor, Tensor, Tensor],
    gates: tuple[AnyGate, ...],
    state: MemoryState,
    chunk_size: int,
    clip: float | None,
) -> None:
    """Refuses arguments of `memorize` that do not belong together.

    Raises:
        ValueError: a chunk without a token, a bound below 0, gates for another number of layers, or
            tensors of different shapes.
    """
    if chunk_size < 1:
        raise ValueError(f"chunk_size is {chunk_size}: a chunk has at least one token")
    if clip is not None and not clip >= 0:
        raise ValueError(f"clip={clip}: set a bound of 0 or more, or None for no bound")
    layers = len(state.weights)
    for gate in gates:
        if (found := _layers(gate, layers)) != layers:
            raise ValueError(f"{found} gates a token for a memory of {layers} layers")
    # The reference's gates by channel are a tensor a layer.
    each = [x for gate in gates for x in (gate if isinstance(gate, tuple) else (gate,))]
    _check_shapes(sequences, each, state)


def _layers(gate: AnyGate, one: int) -> int:
    """For how many layers a gate is, where `one` gate is for all of them."""
    if isinstance(gate, tuple):
        return len(gate)
    return gate.shape[3] if gate.dim() > 3 else one


def _check_shapes(sequences: Sequence[Tensor], gates: Sequence[Tensor], state: MemoryState) -> None:
    queries, keys, values = sequences
    tokens = {tuple(x.shape[:3]) for x in (*sequences, *gates)}
    if len(tokens) > 1 or queries.shape != keys.shape:
        shapes = [list(x.shape) for x in (*sequences, *gates)]
        raise ValueError(f"queries, keys, values and gates {shapes}: as many tokens and heads")
    outputs = [weight.shape[-2] for weight in state.weights[:-1]]
    layers = zip([*outputs, values.shape[-1]], [keys.shape[-1], *outputs], strict=True)
    expected = [(*keys.shape[:2], *layer) for layer in layers]
    for name, matrices in state._asdict().items():
        if (found := [tuple(x.shape) for x in matrices]) != expected:
            raise ValueError(f"the state's {name} {found}: here {expected} is wanted")
