"""A language model that `transformers` loads, saves and generates with."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.generation import GenerationMixin
from transformers.modeling_outputs import CausalLMOutputWithPast
from transformers.modeling_utils import PreTrainedModel
from transformers.models.auto.modeling_auto import AutoModelForCausalLM

from titans.hub.configuration import TitansConfig
from titans.hub.state import RecurrentState
from titans.models import LanguageModel, build
from titans.shapes import Sequence, Tokens

# Tokens read at a time where nothing is learned, which bounds the memory that reading takes.
PIECE = 2048


class TitansForCausalLM(PreTrainedModel, GenerationMixin):
    """A `LanguageModel` under the names of `transformers`; its cache is the recurrent state.

    Args:
        config: the description of the network.

    Raises:
        ValueError: it describes no language model of ours.
    """

    config_class = TitansConfig
    base_model_prefix = "network"
    # What has read a token cannot take it back: no speculative decoding.
    _is_stateful = True

    def __init__(self, config: TitansConfig) -> None:
        super().__init__(config)
        network = build(config.described)
        if not isinstance(network, LanguageModel):
            raise ValueError(
                "`network` in config.json describes no titans.models.LanguageModel: take a folder "
                "that python -m titans.export wrote"
            )
        self.network = network
        self.post_init()

    @classmethod
    def from_pretrained(cls, *names: Any, **options: Any) -> Any:
        """Loads a folder or a repository of the hub, whole.

        Raises:
            ValueError: weights are missing, which would be random numbers otherwise.
        """
        wanted = options.pop("output_loading_info", False)
        model, told = super().from_pretrained(*names, output_loading_info=True, **options)
        if told["missing_keys"]:
            raise ValueError(
                f"{len(told['missing_keys'])} weights are missing, {min(told['missing_keys'])} the "
                "first: the folder is damaged, or its config.json of another model; export it again"
            )
        return (model, told) if wanted else model

    def _init_weights(self, module: nn.Module) -> None:
        """Nothing: our modules have begun with the weights they should."""

    @classmethod
    def _supports_default_dynamic_cache(cls) -> bool:
        """No: the state is begun by the first call."""
        return False

    def get_input_embeddings(self) -> nn.Module:
        """The embedding, which is the output layer too."""
        return self.network.embedding

    def set_input_embeddings(self, value: nn.Embedding) -> None:
        """Exchanges it."""
        self.network.embedding = value

    def forward(
        self,
        input_ids: Tokens,
        attention_mask: Tensor | None = None,
        past_key_values: RecurrentState | None = None,
        labels: Tokens | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int = 0,
        return_dict: bool | None = None,
    ) -> Any:
        """Logits `[batch, time, vocab]` of the token after each; zero where there is padding.

        Args:
            input_ids: `[batch, time]`, the tokens that are new.
            attention_mask: `[batch, time]`, 0 where there is padding, which is on the left; of all
                tokens so far, or of the new ones.
            past_key_values: what an earlier call returned; it is changed.
            labels: `[batch, time]`, what to predict, -100 for nothing; shifted here.
            use_cache: whether the state is returned.
            logits_to_keep: so many of the last tokens have logits; 0 for all.
            return_dict: whether the result has names, or is a tuple.

        Raises:
            ValueError: padding elsewhere than on the left.
        """
        state = RecurrentState() if past_key_values is None else past_key_values
        real = torch.ones_like(input_ids, dtype=torch.bool)
        if attention_mask is not None:
            real = attention_mask[:, -input_ids.shape[1] :].bool()
        hidden = self._read(input_ids, real, state)
        logits = self.network.logits(hidden[:, -logits_to_keep:])
        loss = None
        if labels is not None:
            loss = self.loss_function(logits, labels, vocab_size=self.config.vocab_size)
        use_cache = not self.training if use_cache is None else use_cache
        output = CausalLMOutputWithPast(
            loss=loss, logits=logits, past_key_values=state if use_cache else None
        )
        named = self.config.return_dict if return_dict is None else return_dict
        return output if named else output.to_tuple()

    def _read(self, tokens: Tokens, real: Tensor, state: RecurrentState) -> Sequence:
        """Reads what is new of each group; `[batch, time, dim]`, zero where there is padding."""
        begins = not state.groups
        if begins:
            state.begin(real)
        elif not real.all():
            raise ValueError("attention_mask has padding after tokens that were read: leave it out")
        parts = []
        for index, group in enumerate(state.groups):
            padding = group.padding if begins else 0
            after, hidden = group.state, []
            size = tokens.shape[1] if torch.is_grad_enabled() else PIECE
            for piece in tokens[group.rows, padding:].split(size, dim=1):
                read, after = self.network.hidden(piece, after)
                hidden.append(read)
            parts.append(F.pad(torch.cat(hidden, dim=1), (0, 0, padding, 0)))
            state.groups[index] = group._replace(state=after)
        state.seen += tokens.shape[1]
        order = torch.cat([group.rows for group in state.groups]).argsort()
        return torch.cat(parts)[order]


AutoModelForCausalLM.register(TitansConfig, TitansForCausalLM)
