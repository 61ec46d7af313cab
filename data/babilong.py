"""BABILong: bAbI's facts in a long text (Kuratov et al. 2024), composed as they are asked for."""

from functools import cached_property

from data.babi import KINDS
from data.babi_source import Facts, load_facts
from data.babilong_form import SETUPS, Form
from data.babilong_tokenizer import FOLDER
from data.background import HELD_OUT, HELD_OUT_OF_LANGUAGE, Background, background_text
from data.subword import Subwords, load_subwords
from data.text import Text


class Babilong:
    """The stories of a task, and the text they are hidden in, read once they are asked for.

    Args:
        dataset: `qa1` to `qa5`.
        facts: `babi`, or `simulated`, a stand-in.
        background: `pg19`; `english`, a stand-in; or a file or folder of text.
        setup: `fine_tuned` or `few_shot`.
        tokenizer: a folder, a file or a repository of the hub; None for ours.
        vocabulary: the most pieces that it may have.
        background_tokens: of the background, for training and about as many for evaluation.

    Raises:
        ValueError: an unknown task or setup.
    """

    def __init__(
        self,
        dataset: str,
        *,
        facts: str = "simulated",
        background: str = "english",
        setup: str = "fine_tuned",
        tokenizer: str | None = None,
        vocabulary: int = 2048,
        background_tokens: int = 4_000_000,
    ) -> None:
        if dataset not in KINDS or setup not in SETUPS:
            raise ValueError(
                f"task.dataset={dataset} is one of {', '.join(KINDS)}, and task.setup={setup} one "
                f"of {', '.join(SETUPS)}"
            )
        self.dataset, self.facts_name, self.background_name = dataset, facts, background
        self.setup, self.tokenizer = setup, tokenizer or str(FOLDER)
        self.vocabulary, self.background_tokens = vocabulary, background_tokens

    @property
    def name(self) -> str:
        """What scores are called: the facts in the background, as `babi_in_pg19`."""
        facts, background = self.facts.name, self.text.name
        if self.setup == "few_shot":
            # Nothing was trained on them: how many there are to train on does not matter.
            facts = facts.partition("-")[0]
        return f"{facts}_in_{'pg19' if self.background_name == 'pg19' else background}"

    @cached_property
    def facts(self) -> Facts:
        """The stories."""
        return load_facts(self.facts_name, self.dataset)

    @cached_property
    def subwords(self) -> Subwords:
        """The tokenizer."""
        return load_subwords(self.tokenizer)

    @cached_property
    def form(self) -> Form:
        """How a story is asked."""
        return Form(self.setup, self.dataset, self.subwords)

    @cached_property
    def text(self) -> Text:
        """What the background is read from."""
        return background_text(
            self.background_name,
            self.tokenizer,
            self.vocabulary,
            self.background_tokens,
            HELD_OUT_OF_LANGUAGE if self.setup == "few_shot" else HELD_OUT,
        )

    def background(self, part: str) -> Background:
        """Return the text for `train` or for `validation`, which share no document.

        Raises:
            FileNotFoundError: the background is not to be had.
        """
        try:
            stream = self.text.stream(part)
        except FileNotFoundError as error:
            # A text does not know which setting named it.
            said = str(error).replace("task.corpus", "task.background")
            raise FileNotFoundError(f"task.background={self.background_name}: {said}") from error
        return Background(stream, self.subwords)
