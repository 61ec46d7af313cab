"""What stands in for a cache of keys and values: the recurrent state."""

from functools import partial
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Int
from torch import Tensor
from torch.utils._pytree import tree_map_only


class Group(NamedTuple):
    """Sequences that began together.

    Attributes:
        rows: which of the batch they are.
        padding: tokens before them.
        state: of the network after them; None before the first token.
    """

    rows: Int[Tensor, " rows"]
    padding: int
    state: Any


class RecurrentState:
    """The state of a batch, which grows with no token that is read.

    Where a model has attention to everything before, its keys and values are part of the state,
    and grow. Like the caches of `transformers`, it is changed by the model that is called with it;
    `copy.deepcopy` keeps the state of a prefix.

    Attributes:
        groups: sequences of unequal length have states of their own, since what a memory has
            written of an unfinished chunk depends on where its sequence began.
        seen: tokens of the batch so far, padding included.
    """

    is_compileable = False
    is_croppable = False

    def __init__(self) -> None:
        self.groups: list[Group] = []
        self.seen = 0

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Tokens so far, under the name that `transformers` asks by."""
        return self.seen

    def begin(self, real: Bool[Tensor, "batch time"]) -> None:
        """Groups a batch by where its sequences begin.

        Args:
            real: which tokens are no padding.

        Raises:
            ValueError: padding elsewhere than on the left, or a sequence of nothing else.
        """
        paddings = (~real).sum(1)
        on_left = torch.arange(real.shape[1], device=real.device) >= paddings[:, None]
        if not torch.equal(real, on_left) or bool((paddings == real.shape[1]).any()):
            raise ValueError(
                "attention_mask has padding after a sequence or in it, or a row of nothing but "
                "padding, which a recurrent model would read: pad on the left "
                "(tokenizer.padding_side='left'), and have a token in each row"
            )
        self.groups = [
            Group((paddings == padding).nonzero()[:, 0], padding, None)
            for padding in paddings.unique().tolist()
        ]

    def reorder_cache(self, beam_idx: Int[Tensor, " batch"]) -> None:
        """Takes for each row the state of another one, as beam search asks; of its own group."""
        for index, group in enumerate(self.groups):
            taken = torch.searchsorted(group.rows, beam_idx[group.rows])
            take = partial(torch.index_select, dim=0, index=taken)
            self.groups[index] = group._replace(state=tree_map_only(Tensor, take, group.state))
