"""Table 1's evaluation: perplexity of WikiText and LAMBADA, and eight tests of common sense."""

import logging
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

from titans.evals.score import Score
from titans.tasks import NextToken, Reading, load_reading


class Measured(NamedTuple):
    """How lm-eval scores a benchmark.

    Attributes:
        task: its name there.
        folder: where its YAML is, below lm-eval's tasks.
        metrics: our name of a metric -> lm-eval's. Table 1 has no others.
    """

    task: str
    folder: str
    metrics: Mapping[str, str]


MEASURED = {
    # Of the three perplexities of lm-eval the one a word, of the text before it is detokenised.
    "wikitext": Measured("wikitext", "wikitext", {"ppl": "word_perplexity"}),
    # The perplexity of the last word, not of one of its tokens.
    "lambada": Measured("lambada_openai", "lambada", {"ppl": "perplexity", "acc": "acc"}),
    "piqa": Measured("piqa", "piqa", {"acc": "acc"}),
    "hellaswag": Measured("hellaswag", "hellaswag", {"acc_norm": "acc_norm"}),
    "winogrande": Measured("winogrande", "winogrande", {"acc": "acc"}),
    "arc_easy": Measured("arc_easy", "arc", {"acc": "acc"}),
    "arc_challenge": Measured("arc_challenge", "arc", {"acc_norm": "acc_norm"}),
    "siqa": Measured("social_iqa", "siqa", {"acc": "acc"}),
    "boolq": Measured("boolq", "super_glue/boolq", {"acc": "acc"}),
}


@runtime_checkable
class Questions(Protocol):
    """Where the questions are."""

    files: Mapping[str, Path]


@runtime_checkable
class Text(Protocol):
    """What a model was trained on that is scored right behind its training."""

    tokenizer: str
    end: int


class CommonSense:
    """Scores as lm-eval defines them, without examples before a question; accuracies in percent.

    Args:
        questions: a file for each benchmark.
        text: the training's, whose tokenizer is used behind it.
        length: tokens of a sequence of the training.
        checkpoint: the one that is scored instead, which brings tokenizer and length of its own.
        max_length: tokens that a prediction may rest on; None for as many as a sequence of the
            training has. See `Harness`.
        limit: the first so many questions or texts of each; None for all.
        batch: contexts and continuations side by side.

    Raises:
        ValueError: a setting is below 1, or the checkpoint does not say how its model reads.
    """

    def __init__(
        self,
        questions: Questions,
        text: Text,
        *,
        length: int,
        checkpoint: str | None = None,
        max_length: int | None = None,
        limit: int | None = None,
        batch: int = 32,
    ) -> None:
        if min(n for n in (max_length, limit, batch, 1) if n is not None) < 1:
            raise ValueError("task.max_length, task.limit and task.rows are 1 or more, or null")
        self.questions, self.text = questions, text
        self.limit, self.batch = limit, batch
        self.reading: Reading | None = load_reading(checkpoint) if checkpoint else None
        self.max_length = max_length or (self.reading.length if self.reading else length)

    def __call__(self, task: NextToken) -> Iterator[Score]:
        """Yields the scores of one benchmark after the other, with the questions behind each."""
        # It takes seconds to import, and other tasks do without.
        from datasets import disable_progress_bars
        from lm_eval.evaluator import evaluate

        from titans.evals.harness import Harness

        disable_progress_bars()
        # Its remarks on its own tasks.
        logging.getLogger("lm_eval").setLevel(logging.ERROR)
        reads = self.reading or self.text
        model = Harness(
            task.network,
            reads.tokenizer,
            reads.end,
            max_length=self.max_length,
            batch_size=self.batch,
        )
        for name, file in self.questions.files.items():
            began, it = time.monotonic(), MEASURED[name]
            loaded = harness_tasks(it, file)
            # No confidence intervals: their resampling takes longer than a small model.
            results = evaluate(
                model, loaded, limit=self.limit, bootstrap_iters=0, log_samples=False
            )
            found, count = results["results"][it.task], results["n-samples"][it.task]["effective"]
            counts = {"prompts": count, "seconds": round(time.monotonic() - began, 2)}
            for metric, theirs in it.metrics.items():
                value = float(found[f"{theirs},none"])
                yield Score(f"{name}/{metric}", value * (1 if metric == "ppl" else 100), counts)


def harness_tasks(it: Measured, file: Path) -> dict[str, Any]:
    """lm-eval's own task, with its rows from a file."""
    import lm_eval.tasks

    # All of lm-eval's fourteen thousand tasks would take seconds to list.
    folder = Path(lm_eval.tasks.__file__).parent / it.folder
    manager = lm_eval.tasks.TaskManager(include_path=str(folder), include_defaults=False)
    source = {
        "dataset_path": "json",
        "dataset_name": None,
        "dataset_kwargs": {"data_files": {"test": str(file)}},
        "training_split": None,
        "validation_split": None,
        "test_split": "test",
    }
    # A group lays what is given over the task; a task alone would have to be given whole.
    group = {"group": "titans", "task": [{"task": it.task, **source}]}
    loaded: dict[str, Any] = manager.load([group])
    return loaded
