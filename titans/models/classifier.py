"""A backbone that reads a sequence of tokens and tells its class."""

from jaxtyping import Float
from torch import Tensor, nn

from titans.models.backbone import Backbone
from titans.models.language import LanguageModel
from titans.shapes import Sequence, Tokens


class Classifier(nn.Module):
    """What a language model makes of the tokens, the mean over them, and a linear map.

    Padding stands at the end, where no token before it sees it, and has no part in the mean: a
    sequence has the same class however far it is filled up.

    Args:
        vocabulary: number of tokens, padding included.
        padding: the token that fills up.
        classes: how many there are.
        backbone: what lies between.
    """

    def __init__(self, vocabulary: int, padding: int, classes: int, backbone: Backbone) -> None:
        super().__init__()
        self.padding = padding
        self.reader = LanguageModel(vocabulary, backbone)
        self.head = nn.Linear(backbone.dim, classes)

    def forward(self, tokens: Tokens) -> Float[Tensor, "batch classes"]:
        """Logits `[batch, classes]` of sequences `[batch, time]` of one token or more each."""
        hidden, _ = self.reader.hidden(tokens)
        return self.head(mean_over_tokens(hidden, tokens, self.padding))


def mean_over_tokens(hidden: Sequence, tokens: Tokens, padding: int) -> Float[Tensor, "batch dim"]:
    """The mean `[batch, dim]` over the tokens of each sequence that are no padding."""
    there = (tokens != padding).unsqueeze(-1)
    return hidden.where(there, 0.0).sum(1) / there.sum(1)
