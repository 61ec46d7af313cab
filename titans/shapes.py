"""The legend of axis names, and the array types that annotations are written in.

| name     | what it counts                                                  |
|----------|-----------------------------------------------------------------|
| batch    | sequences, each with a memory of its own                        |
| heads    | memories (or attention heads) side by side in one layer         |
| time     | tokens                                                          |
| dim      | channels, of the model or of one head                           |
| out, in  | the two sides of one weight matrix of a memory                  |
| layers   | weight matrices of one memory, `L_M` in the paper               |
| vocab    | entries of the vocabulary                                       |
| channels | variables of a time series                                      |
| horizon  | time steps of a forecast                                        |

The annotations are read by people and checked in the tests alone, so they cost nothing at run time.
"""

from jaxtyping import Bool, Float, Int
from torch import Tensor

Gate = Float[Tensor, "batch heads time ..."]
"""One number a token and head; with a last axis, one for each layer of the memory too."""

HeadSequence = Float[Tensor, "batch heads time dim"]
Sequence = Float[Tensor, "batch time dim"]
Tokens = Int[Tensor, "batch time"]
Asked = Bool[Tensor, "batch time"]
Logits = Float[Tensor, "batch time vocab"]

Series = Float[Tensor, "batch time channels"]
"""A window of a multivariate series, or a forecast."""

Forecast = Float[Tensor, "batch horizon channels"]
"""The steps that follow a window, whose `time` is another."""
