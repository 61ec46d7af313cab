"""How wide a head is."""


def head_width(dim: int, heads: int, expansion: float = 1.0) -> int:
    """Channels of one head where the heads together have `expansion * dim`.

    Raises:
        ValueError: `heads` does not divide them.
    """
    width = round(expansion * dim)
    if width < heads or width % heads:
        raise ValueError(f"{heads} heads do not divide {expansion} x {dim} channels")
    return width // heads
