"""Floating-point operations of the memory as a layer, by formula."""

from itertools import pairwise

from titans.memory.network import layer_widths


def flops_per_token(
    dim: int, *, heads: int, depth: int, expansion: float, chunk_size: int, gradient: bool = True
) -> float:
    """Multiplications and additions of the matrix products for one token.

    Elementwise work and what the gradient computes again are left out, so that the share of a
    machine's rate is that of the work that has to be done. A gradient costs two products for each.

    Args:
        dim: width of the layer.
        heads: memories side by side.
        depth: layers of each memory.
        expansion: width of its hidden layers over its input.
        chunk_size: tokens of a chunk.
        gradient: whether the backward pass is counted too.
    """
    head = dim // heads
    memory = 0
    for layer, (inputs, outputs) in enumerate(pairwise(layer_widths(head, depth, expansion))):
        # z = W x, and u = W^T e but in the first; W h, S h; what is added to W and to S.
        memory += (5 if layer == 0 else 6) * 2 * inputs * outputs
        # <h, x> and the sum over errors, both over a whole chunk.
        memory += 2 * chunk_size * (inputs + outputs)
    # Queries, keys, values, the output's gate, the output; three gates a head.
    projections = 2 * dim * (5 * dim + 3 * heads)
    return (3 if gradient else 1) * float(heads * memory + projections)
