"""How a run appears on Weights & Biases, and on other dashboards."""

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from secrets import token_hex
from typing import Any

import wandb
from lightning.pytorch.loggers import Logger, WandbLogger

log = logging.getLogger(__name__)
ID_NOTE = "wandb_id.txt"


def wandb_logger(
    folder: str,
    *,
    sweep: str | None = None,
    resume: bool = False,
    trains_on: str | None = None,
    evaluates: str | None = None,
    finish_timeout: float = 600,
    **settings: Any,
) -> WandbLogger:
    """A logger that is online where a key is configured, and offline otherwise.

    Args:
        folder: where the run's files go, if it is none of a sweep.
        sweep: a folder for the files of all runs of a sweep; its name is their group.
        resume: goes on with the run that was begun in `folder`, under its id.
        trains_on: the data; without any, the job measures.
        evaluates: the checkpoint that is scored instead of training.
        finish_timeout: seconds that the end of a run waits for what is not uploaded yet.
        settings: what `WandbLogger` takes: project, name, group, tags, config …
    """
    for place in (folder, sweep or folder):
        Path(place).mkdir(parents=True, exist_ok=True)
    mode = os.environ.get("WANDB_MODE")
    if mode is None:
        mode = "online" if wandb.login(prompt=False, verify=False) else "offline"
    offline = mode == "offline"
    # Without an end to its waiting, a run would not end while W&B cannot be reached.
    settled = wandb.Settings(silent=True, finish_timeout=finish_timeout, finish_timeout_raises=True)
    wandb.setup(settings=settled)
    logger = WandbLogger(
        save_dir=sweep or folder,
        group=Path(sweep).name if sweep else None,
        offline=offline,
        mode=mode,
        id=_run_id(Path(folder, ID_NOTE), resume),
        job_type="evaluate" if evaluates else "train" if trains_on else "measure",
        **settings,
    )
    run = logger.experiment
    run.define_metric("tokens")
    run.define_metric("*", step_metric="tokens")
    if offline:
        files = os.path.relpath(Path(run.dir).parent)
        log.info(
            "W&B is offline (no key): open the run with `wandb leet %s`, "
            "upload it with `wandb sync %s`", files, files
        )  # fmt: skip
    return logger


def address(logger: Logger) -> str:
    """The run on Weights & Biases, as `project/id`; empty for another logger."""
    return f"{logger.name}/{logger.version}" if isinstance(logger, WandbLogger) else ""


def _run_id(note: Path, resume: bool) -> str:
    """The id that is noted, for a run that is resumed, or a new one; it is noted."""
    if resume and note.is_file():
        return note.read_text(encoding="utf-8").strip()
    identifier = token_hex(4)
    note.write_text(identifier, encoding="utf-8")
    return identifier


def finish(
    logger: Logger,
    scores: Mapping[str, float | None],
    counts: Mapping[str, float | None],
    *,
    tokens: int = 0,
    pictures: Sequence[Path] = (),
    checkpoint: Path | None = None,
    failed: bool = False,
) -> None:
    """Shows the scores of a run where the training left off, and closes the logger.

    Weights & Biases gets a table with the prompts behind each score, a plot of it and the pictures;
    where it is online, also the checkpoint.
    """
    values = {f"score/{k}": v for k, v in scores.items() if v is not None}
    logger.log_metrics(values | {"tokens": float(tokens)})
    if not isinstance(logger, WandbLogger):
        logger.finalize("failed" if failed else "success")
        return
    run = logger.experiment
    try:
        _show(run, scores, counts, tokens, pictures, checkpoint)
        run.finish(exit_code=int(failed))
    # The client's own errors and those of the connection have no common ancestor but this.
    except Exception as error:
        reason, files = str(error).partition("\n")[0], os.path.relpath(Path(run.dir).parent)
        log.warning(
            "W&B did not take all of the run (%s): `wandb sync %s` uploads the rest", reason, files
        )


def _show(
    run: Any,
    scores: Mapping[str, float | None],
    counts: Mapping[str, float | None],
    tokens: int,
    pictures: Sequence[Path],
    checkpoint: Path | None,
) -> None:
    rows = [[k, v, counts.get(f"prompts/{k}")] for k, v in scores.items()]
    table = wandb.Table(columns=["score", "value", "prompts"], data=rows)
    plot = wandb.plot.bar(table, "score", "value", title="Scores")
    shown = {picture.stem: wandb.Image(str(picture)) for picture in pictures}
    run.log({"scores": table, "scores_plot": plot, "tokens": float(tokens), **shown})
    if checkpoint is not None and checkpoint.is_file() and run.settings.mode == "online":
        artifact = wandb.Artifact(f"checkpoint-{run.id}", type="checkpoint")
        artifact.add_file(str(checkpoint))
        run.log_artifact(artifact)
