"""The convolutional network of GenomicsBenchmarks (Grešová et al., BMC Genomic Data 2023)."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from titans.shapes import Tokens


class CNN(nn.Module):
    """Three blocks of convolution, batch norm, ReLU and max-pooling; then two linear maps.

    All sequences are filled up to `length`: padding is a letter like any other here, with an
    embedding of its own, as in the published network.

    Args:
        vocabulary: number of tokens, padding included.
        padding: the token that fills up.
        classes: how many there are.
        length: tokens of the longest sequence.
        dim: width of an embedding.
        channels: of the three convolutions.
        kernel: taps of each, without padding.
        hidden: width between the linear maps, which have no nonlinearity between them.

    Raises:
        ValueError: nothing is left of `length` after the three blocks.
    """

    def __init__(
        self,
        vocabulary: int,
        padding: int,
        classes: int,
        length: int,
        *,
        dim: int = 100,
        channels: tuple[int, ...] | list[int] = (16, 8, 4),
        kernel: int = 8,
        hidden: int = 512,
    ) -> None:
        super().__init__()
        self.padding, self.length = padding, length
        self.embedding = nn.Embedding(vocabulary, dim)
        blocks, width, left = [], dim, length
        for out in channels:
            block = nn.Conv1d(width, out, kernel), nn.BatchNorm1d(out), nn.ReLU(), nn.MaxPool1d(2)
            blocks.append(nn.Sequential(*block))
            width, left = out, (left - kernel + 1) // 2
        if left < 1:
            raise ValueError(
                f"sequences of {length} are too short for kernels of {kernel}: choose another "
                "task.dataset, or lower model.classifier.kernel"
            )
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Sequential(nn.Linear(width * left, hidden), nn.Linear(hidden, classes))

    def forward(self, tokens: Tokens) -> Float[Tensor, "batch classes"]:
        """Logits `[batch, classes]` of sequences `[batch, time]`, time at most `length`."""
        filled = F.pad(tokens, (0, self.length - tokens.shape[1]), value=self.padding)
        return self.head(self.blocks(self.embedding(filled).mT).flatten(1))
