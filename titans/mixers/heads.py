"""How wide a head is."""

from titans.memory.checks import at_least


def head_width(dim: int, heads: int, expansion: float = 1.0) -> int:
    """Channels of one head where the heads together have `expansion * dim`.

    Raises:
        ValueError: there is no head, or `heads` does not divide them.
    """
    at_least(1, heads=heads)
    width = round(expansion * dim)
    if width < heads or width % heads:
        raise ValueError(f"{heads} heads do not divide {expansion} x {dim} channels")
    return width // heads
