"""Our language models as lm-eval (the EleutherAI harness) asks for a model.

Import this module, and lm-eval knows `model="titans"`; `python -m titans.evals` does so.
"""

import sys
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

# Lists lm-eval's own models, which it does not once it knows one of others.
import lm_eval.models  # noqa: F401
import torch
from lm_eval.api.instance import Instance
from lm_eval.api.model import TemplateLM
from lm_eval.api.registry import register_model
from lm_eval.models.utils import handle_stop_sequences, normalize_gen_kwargs
from lm_eval.models.utils import postprocess_generated_text as cut_at_stop
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window
from rich.progress import track
from tokenizers import Tokenizer

from titans.evals.generate import generate
from titans.evals.likelihood import Answer, Asked, likelihoods
from titans.models import LanguageModel
from titans.tasks import load_trained

BATCH = 32
Encoded = tuple[Any, list[int], list[int]]


@register_model("titans")
class Harness(TemplateLM):
    """A language model whose state is reused.

    The state after a context is computed once for all continuations of it, and a generated token
    costs one token. Scores are those of lm-eval's `HFLM` on the same weights and tokenizer: spaces
    between context and continuation belong to the continuation, nothing is put before a context,
    and an empty one is the token that ends a document.

    Args:
        network: the model.
        tokenizer: its pieces, as a `tokenizer.json` has them.
        end: the token behind every document.
        max_length: tokens that a prediction may rest on at most: longer contexts lose their
            beginning, and longer documents are scored in windows that begin anew, as lm-eval
            defines it for models with a window. The length of the training is the default of the
            tasks: published scores are such, and attention has no other. None reads everything
            from its beginning, as a recurrent model can.
        batch_size: contexts, and continuations, side by side.
        new_tokens: the most that are generated where a task does not say.

    Raises:
        ValueError: a number below 1.
    """

    def __init__(
        self,
        network: LanguageModel,
        tokenizer: str,
        end: int,
        *,
        max_length: int | None = None,
        batch_size: int = BATCH,
        new_tokens: int = 256,
    ) -> None:
        super().__init__()
        if batch_size < 1 or (max_length is not None and max_length < 1):
            raise ValueError("max_length and batch_size are 1 or more")
        self.network, self.end, self.max_length = network.eval(), end, max_length
        self.pieces = Tokenizer.from_str(tokenizer)
        # A text that contains the end's own letters has not ended.
        self.pieces.encode_special_tokens = True
        self.batch_size, self.new_tokens = batch_size, new_tokens

    @classmethod
    def create_from_arg_obj(
        cls, arg_dict: dict[str, Any], additional_config: dict[str, Any] | None = None
    ) -> "Harness":
        """What `--model_args checkpoint=FILE,max_length=N` makes; `max_length=null` for no limit.

        Raises:
            ValueError: there is no such argument, no checkpoint is named, or it cannot be read.
        """
        given = {k: v for k, v in (additional_config or {}).items() if v is not None} | arg_dict
        given.pop("max_batch_size", None)
        unknown = given.keys() - {"checkpoint", "max_length", "batch_size", "device"}
        if unknown or "checkpoint" not in given:
            raise ValueError(
                "--model_args are checkpoint=FILE and, if need be, max_length=N, not "
                f"{', '.join(sorted(unknown)) or 'nothing'}"
            )
        network, reading = load_trained(given["checkpoint"])
        limit, size = given.get("max_length", reading.length), str(given.get("batch_size", "auto"))
        # lm-eval asks for a GPU where nobody says otherwise.
        device = given.get("device", "cpu") if torch.cuda.is_available() else "cpu"
        return cls(
            network.to(device),
            reading.tokenizer,
            reading.end,
            max_length=None if limit in (None, "null", "None") else int(limit),
            batch_size=BATCH if size.startswith("auto") else int(size),
        )

    @classmethod
    def create_from_arg_string(
        cls, arg_string: str, additional_config: dict[str, Any] | None = None
    ) -> "Harness":
        """The same from one string."""
        pairs = (pair.partition("=") for pair in arg_string.split(",") if pair)
        return cls.create_from_arg_obj({k: v for k, _, v in pairs}, additional_config)

    @property
    def eot_token_id(self) -> int:
        """The token behind every document."""
        return self.end

    @property
    def tokenizer_name(self) -> str:
        """What lm-eval caches requests under."""
        return f"titans-{len(self.pieces.get_vocab())}"

    def tok_encode(
        self, string: str, add_special_tokens: bool | None = None, **unused: Any
    ) -> list[int]:
        """The pieces of a text, with nothing before or behind them."""
        ids: list[int] = self.pieces.encode(string, add_special_tokens=False).ids
        return ids

    def loglikelihood(
        self, requests: list[Instance], disable_tqdm: bool = False
    ) -> list[tuple[float, bool]]:
        """Log-likelihood of each continuation, and whether greedy decoding gives it."""
        found: list[tuple[float, bool]] = super().loglikelihood(requests, disable_tqdm or _quiet())
        return found

    def _loglikelihood_tokens(
        self, requests: list[Encoded], disable_tqdm: bool = False, **unused: Any
    ) -> list[tuple[float, bool]]:
        """Answers in the order of the requests."""
        asked = [self._cut(context, continuation) for _, context, continuation in requests]
        answers: dict[Asked, Answer] = {}
        batches = -(-len({it.context for it in asked}) // self.batch_size)
        scored = likelihoods(self.network, asked, batch=self.batch_size)
        for some in track(scored, "likelihoods", batches, transient=True, disable=_quiet()):
            answers |= some
        found = [(answers[it].loglikelihood, answers[it].greedy) for it in asked]
        for (texts, _, _), answer in zip(requests, found, strict=True):
            if texts is not None:
                self.cache_hook.add_partial("loglikelihood", texts, answer)
        return found

    def _cut(self, context: Sequence[int], continuation: Sequence[int]) -> Asked:
        """Drops the beginning of a context for which there is no room.

        Raises:
            ValueError: there is none for the continuation, or it is empty.
        """
        room = None if self.max_length is None else self.max_length + 1 - len(continuation)
        if not continuation or (room is not None and room < 1):
            raise ValueError(
                f"a continuation of {len(continuation)} tokens cannot be scored with "
                f"max_length={self.max_length}"
            )
        kept = context if room is None else context[-room:]
        return Asked(tuple(kept), tuple(continuation))

    def loglikelihood_rolling(
        self, requests: list[Instance], disable_tqdm: bool = False
    ) -> list[float]:
        """Log-likelihood of each text from the token that ends the one before it."""
        windows = [list(self._windows(self.tok_encode(request.args[0]))) for request in requests]
        flat = [(None, context, continuation) for some in windows for context, continuation in some]
        answers = iter(self._loglikelihood_tokens(flat, disable_tqdm))
        totals = [sum((next(answers)[0] for _ in some), 0.0) for some in windows]
        for request, total in zip(requests, totals, strict=True):
            self.cache_hook.add_partial("loglikelihood_rolling", request.args, total)
        return totals

    def _windows(self, tokens: list[int]) -> Iterator[tuple[list[int], list[int]]]:
        """Contexts and what is predicted behind them; together all of a text."""
        length = self.max_length or max(len(tokens), 1)
        for window in get_rolling_token_windows(tokens, self.end, length, context_len=1):
            yield make_disjoint_window(window)

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        """The likeliest continuation of each text, up to a stop sequence.

        Raises:
            ValueError: a task asks for sampling, or max_length leaves no room for an answer.
        """
        prompts = [(self.tok_encode(r.args[0]) or [self.end], r.args[1]) for r in requests]
        # Equal lengths together: the ragged ends are read token by token.
        order = sorted(range(len(prompts)), key=lambda i: (str(prompts[i][1]), len(prompts[i][0])))
        alike = [list(group) for _, group in groupby(order, key=lambda i: str(prompts[i][1]))]
        size = self.batch_size
        batches = [some[i : i + size] for some in alike for i in range(0, len(some), size)]
        texts = [""] * len(prompts)
        for some in track(batches, "generation", transient=True, disable=_quiet()):
            answers = self._generate([prompts[i][0] for i in some], prompts[some[0]][1])
            for i, text in zip(some, answers, strict=True):
                texts[i] = text
                self.cache_hook.add_partial("generate_until", requests[i].args, text)
        return texts

    def _generate(self, prompts: list[list[int]], settings: dict[str, Any]) -> list[str]:
        wanted: Any = normalize_gen_kwargs(settings, self.new_tokens)
        if wanted["do_sample"]:
            raise ValueError("the task asks for sampling, and continuations here are greedy")
        new_tokens = wanted["max_gen_toks"]
        if self.max_length is not None and new_tokens >= self.max_length:
            raise ValueError(
                f"the task generates {new_tokens} tokens, and max_length={self.max_length} has no "
                "room for a context besides: set a larger one, or null"
            )
        room = -(self.max_length - new_tokens) if self.max_length else None
        stops = handle_stop_sequences(wanted["until"], eos=None)

        def text_of(tokens: list[int]) -> str:
            return str(self.pieces.decode(tokens))

        with torch.inference_mode():
            outputs = generate(
                self.network,
                [prompt[room:] for prompt in prompts],
                new_tokens=new_tokens,
                end=self.end,
                stop=lambda tokens: any(stop in text_of(tokens) for stop in stops if stop),
            )
        return [cut_at_stop(text_of(tokens), stops, None) for tokens in outputs]


def _quiet() -> bool:
    """Progress is for who looks on."""
    return not sys.stdout.isatty()
