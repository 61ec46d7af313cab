"""What a saved model is: the description of its network."""

from functools import cache
from importlib import import_module
from typing import Any, ClassVar

import yaml
from transformers.configuration_utils import PreTrainedConfig
from transformers.models.auto.configuration_auto import AutoConfig


class TitansConfig(PreTrainedConfig):
    """All that is needed to build a language model, without the project's own configuration.

    Args:
        network: the resolved description, as `titans.models.build` takes it, in YAML. The order of
            mixers means something, and `transformers` would sort a mapping by name.
        others: what every configuration of `transformers` has.
    """

    model_type: ClassVar[str] = "titans"

    def __init__(self, network: str = "", **others: Any) -> None:
        self.network = network
        super().__init__(**others)
        # Makes the model known, too. Not earlier, as it needs all of transformers and torch.
        import_module("titans.hub.modeling")

    @property
    def described(self) -> Any:
        """The description as a tree.

        Raises:
            ValueError: it is no YAML.
        """
        return _parsed(self.network)

    @property
    def vocab_size(self) -> int:
        """Number of tokens."""
        return self._number("vocabulary")

    @property
    def hidden_size(self) -> int:
        """Width of the stack."""
        return self._number("backbone", "dim")

    @property
    def num_hidden_layers(self) -> int:
        """Blocks of the stack."""
        return self._number("backbone", "layers")

    def _number(self, *names: str) -> int:
        try:
            part = self.described
            for name in names:
                part = part[name]
            return int(part)
        except (KeyError, TypeError, ValueError) as error:
            # As of an attribute that is not there, for which the library has defaults.
            raise AttributeError(f"the network has no {'.'.join(names)}") from error


@cache
def _parsed(network: str) -> Any:
    try:
        return yaml.safe_load(network)
    except yaml.YAMLError as error:
        raise ValueError(f"the description of the network is no YAML: {error}") from error


AutoConfig.register("titans", TitansConfig)
