"""Train, score, leave one record: `python run.py model=mac task=niah`."""

import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import InstantiationException
from omegaconf import DictConfig, OmegaConf

from experiments.arguments import check_arguments
from experiments.beside import listed, number, show
from experiments.checks import Halted, check, last, named, told
from experiments.folder import alone
from experiments.planned import differing, identity, known, planned, training
from experiments.provenance import commit, machine, versions
from experiments.record import FAILED, FINISHED, NOTE, Record, noted, unfinished
from experiments.sweep import note_failure, sweeping

log = logging.getLogger("titans")
VALIDATION = "validation/error"
# Of a task, what is made.
PARTS = ("network", "objective", "data", "evaluations", "validation")
UNFINISHED = "the checkpoint is of step {}, before its training ended: no table shows its scores"


@hydra.main(version_base="1.3", config_path="conf", config_name="run")
def main(config: DictConfig) -> float | None:
    """Runs one command; says in a line what was wrong with it, if something was.

    Returns:
        What a search makes small: the validation error of a trial.
    """
    try:
        check(config)
        if config.dry_run:
            plan(config)
            return None
        with alone(config.output_dir):
            there = known(config, last(config)) if sweeping() else None
            if there:
                log.info("Recorded already, and skipped (unless rerun=true): %s", there.file_name)
                return there.scores.get(VALIDATION)
            # Torch and Lightning take seconds to import: a wrong command is refused before.
            return run(config, *build(config)).scores.get(VALIDATION)
    except KeyboardInterrupt as error:
        log.error("%s", str(error) or "Interrupted: what was scored by now is in the record.")
        sys.exit(130)
    except Exception as error:
        said = told(error) or no_memory(error)
        if not (said or sweeping()):
            raise
        log.error("%s", said or error, exc_info=not said)
        if not sweeping():
            sys.exit(2)
        # The other runs of the sweep go on.
        note_failure(error)
        return None


def no_memory(error: BaseException) -> str:
    """What to do where memory does not suffice; empty for another error."""
    from titans.evals.memory_limit import is_out_of_memory

    if not is_out_of_memory(error):
        return ""
    return (
        "There is not enough memory: set hardware.micro_batch to a few sequences, take a smaller "
        "scale, or shorter sequences."
    )


def make_task(config: DictConfig) -> Any:
    """Instantiates the objective around its network."""
    from titans.models import recompute_blocks
    from titans.tasks import decayed_apart

    make = partial(hydra.utils.instantiate, _convert_="all")
    task = make(
        config.task.objective,
        network=make(config.task.network),
        optimizer=make(config.optimizer),
        # As text: what looks like a configuration would be instantiated.
        run=identity(config)
        | training(config)
        | {"network": OmegaConf.to_yaml(config.task.network, resolve=True)},
    )
    # Made again when the training begins: what it refuses is said before.
    task.make_optimizer(decayed_apart(task.network))
    if config.hardware.activation_checkpointing:
        recompute_blocks(task.network)
    return task


def build(config: DictConfig) -> tuple[Any, Any, Any, Any]:
    """Instantiates task, data, evaluations and trainer; what they refuse is one line."""
    from titans import tasks

    with blaming_settings():
        tasks.settle(
            seed=config.seed,
            threads=config.hardware.threads,
            use_kernels=config.hardware.kernels,
            compiled=config.hardware.compile,
        )
        check_arguments(config, *(f"task.{part}" for part in PARTS), "logger")
        make = partial(hydra.utils.instantiate, _convert_="all")
        task = make_task(config)
        callbacks: list[Any] = [
            tasks.Checkpoint(last(config), config.checkpoint_every),
            tasks.KeepDivergedBatch(config.output_dir),
        ]
        callbacks += [tasks.ProgressBar()] if tasks.leads() else []
        data, evaluations = make(config.task.data), make(config.task.evaluations) or {}
        if odd := [name for name, it in evaluations.items() if it and not callable(it)]:
            raise ValueError(f"task.evaluations.{odd[0]} scores nothing: null leaves it out")
        if config.search:
            from experiments.search import this_run

            evaluations = {"validation": make(config.task.get("validation"))}
            if hasattr(task, "best_error"):
                callbacks.append(tasks.StopWhereHopeless(this_run(config.resume).hopeless))
            elif not evaluations["validation"]:
                raise Halted("This task has no validation part, without which nothing is searched.")
        if config.evaluate_only:
            checkpoint = tasks.load_checkpoint(config.evaluate_only)
            task.restore(checkpoint)
            # As Lightning names it in a checkpoint.
            data.load_state_dict(checkpoint.get(type(data).__qualname__, {}))
        elif config.resume:
            checkpoint = tasks.load_checkpoint(last(config))
            task.on_load_checkpoint(checkpoint)
            if otherwise := differing(config, checkpoint["run"]):
                raise Halted(
                    f"{last(config)} was trained {otherwise}: set it as it was, or leave out "
                    "resume=true, which begins anew."
                )
        training = None if config.evaluate_only else data
        if training is not None:
            training.setup()
        trainer = tasks.make_trainer(
            training,
            callbacks,
            gradient_clip=config.task.get("gradient_clip", 1.0),
            **make(config.hardware.trainer),
        )
        tasks.watch(trainer, task, several_runs=sweeping())
        # What cannot be trained on is said before the training begins.
        if training is not None and training.steps:
            training.train_dataloader().dataset[0]
        # Last: what is refused before leaves no logger behind.
        trainer.logger = make(config.logger) if tasks.leads() else None
        return task, data, evaluations, trainer


@contextmanager
def blaming_settings(begun: Callable[[], bool] | None = None) -> Iterator[None]:
    """Says in a line what fails before anything has worked: a setting is at fault.

    Args:
        begun: whether something has worked; None while it is made.

    Raises:
        Halted: it failed so, or nothing is wrong but the numbers or another process.
    """
    from titans.tasks import DivergedError, LostProcessError

    try:
        yield
    except (DivergedError, LostProcessError) as error:
        raise Halted(str(error)) from error
    except Exception as error:
        # A full disk in mid-run is none of the settings.
        surroundings = begun is not None and (isinstance(error, OSError) or begun())
        if surroundings or os.environ.get("HYDRA_FULL_ERROR"):
            raise
        cause = error.__cause__ if isinstance(error, InstantiationException) else None
        raise Halted(no_memory(cause or error) or named(cause or error)) from error


def plan(config: DictConfig) -> None:
    """Prints what the training would take, and computes nothing of it."""
    if "plan" not in config.task:
        task = HydraConfig.get().runtime.choices.task
        raise Halted(f"task={task} has no plan to print: leave out dry_run, or take task=lm.")
    from torch._subclasses.fake_tensor import FakeTensorMode

    make = partial(hydra.utils.instantiate, _convert_="all")
    with blaming_settings():
        check_arguments(config, "task.network", "task.data", "task.plan")
        data, it = make(config.task.data), make(config.task.plan)
        accumulate = data.accumulation(it.devices)
        with FakeTensorMode():
            network = make(config.task.network)
        for line in it.lines(network, accumulate):
            print(line)


def run(config: DictConfig, task: Any, data: Any, evaluations: Any, trainer: Any) -> Record:
    """Trains or loads, scores, and writes the record as scores come in."""
    from titans.tasks import address, device, leads

    began = time.monotonic() - task.seconds_before
    if not leads():
        return train(config, planned(config), task, data, trainer)
    record = replace(
        planned(config),
        commit=commit(),
        versions=versions(),
        machine=machine(**device(trainer)),
        status=FAILED,
        error="did not finish",
        wandb="".join(address(logger) for logger in trainer.loggers),
    )
    # A run that is resumed goes on with the record it left: one run has one record.
    path = unfinished(Path(config.output_dir)) if config.resume else None
    before = noted(Path(config.output_dir)) if path else None
    if before and before.trained == record.trained:
        # Scored when it ended: the training is over, and each score is made again or stays.
        record = replace(record, scores=before.scores, counts=before.counts)
    try:
        record = train(config, record, task, data, trainer)
        task.to(trainer.strategy.root_device)
        with blaming_settings(lambda: data is not None or bool(record.scores)):
            for evaluation in filter(None, evaluations.values()):
                for name, exact, counts in evaluation(task):
                    value = round(exact, 4)
                    record = replace(
                        record,
                        scores=record.scores | {name: value},
                        counts=record.counts | {f"{c}/{name}": n for c, n in counts.items()},
                        seconds=round(time.monotonic() - began, 1),
                    )
                    path = keep(record, config, path)
                    log.info("%s  %s  (%s)", name, number(value), listed(counts))
        early = config.evaluate_only and not task.ended
        error = UNFINISHED.format(task.steps_taken) if early else ""
        record = replace(record, status=FAILED if early else FINISHED, error=error)
        if early:
            log.warning("%s", error)
    except BaseException as error:
        record = replace(record, error=f"{type(error).__name__}: {error}"[:500])
        raise
    finally:
        record = replace(record, seconds=round(time.monotonic() - began, 1))
        # First, as a dashboard may be long in answering.
        path = keep(record, config, path)
        report(record, config, task, trainer)
        print(path)
    return record


def keep(record: Record, config: DictConfig, path: Path | None) -> Path:
    """Writes the record in place of `path`, and notes where, for a run that is resumed."""
    path = record.write(config.records, previous=path)
    Path(config.output_dir, NOTE).write_text(str(path), encoding="utf-8")
    return path


def train(config: DictConfig, record: Record, task: Any, data: Any, trainer: Any) -> Record:
    """Trains, or loads what `evaluate_only` names; returns the record of what there is now."""
    from titans.evals.measure import high_water

    resolved: Any = OmegaConf.to_container(config, resolve=True)
    for logger in trainer.loggers:
        # The options by name, too: dashboards group by them.
        logger.log_hyperparams(resolved | {"choices": identity(config)["choices"]})
    counts = {"parameters": sum(p.numel() for p in task.network.parameters())}
    if data is None:
        return replace(record, counts=counts)
    if config.evaluate_only:
        overrides = [*task.restored["overrides"], *record.overrides]
        configuration = task.restored.get("configuration", {})
        record = replace(
            record, seed=task.restored["seed"], overrides=overrides, configuration=configuration
        )
    else:
        resumed = last(config) if config.resume else None
        with blaming_settings(lambda: trainer.global_step > 0):
            trainer.fit(task, data, ckpt_path=resumed, weights_only=True)
        hopeless = any(getattr(callback, "stopped", False) for callback in trainer.callbacks)
        if trainer.global_step < trainer.max_steps and not (task.settled or hopeless):
            # Ctrl-C and SIGTERM end the training after a step, and not with an exception.
            again = "the same command" + ("" if sweeping() else " with resume=true")
            raise KeyboardInterrupt(f"Stopped at step {trainer.global_step}; {again} goes on.")
        log.info("checkpoint: %s", os.path.relpath(last(config)))
        counts["peak_memory_mb"] = round(high_water(), 1)
    # What has none has an evaluation for it.
    error = getattr(task, "best_error", None) if config.search else None
    found = {} if error is None else {VALIDATION: float(error)}
    return replace(
        record, scores=record.scores | found, counts=record.counts | counts | task.counts
    )


def report(record: Record, config: DictConfig, task: Any, trainer: Any) -> None:
    """Shows the scores on the terminal and the dashboards, and there the pictures too."""
    from titans.tasks import finish

    show(record)
    for logger in trainer.loggers:
        finish(
            logger,
            record.scores,
            record.counts,
            tokens=task.tokens_seen,
            pictures=sorted(Path(config.output_dir).glob("*.png")),
            checkpoint=None if config.evaluate_only else last(config),
            failed=record.status == FAILED,
        )


if __name__ == "__main__":
    main()
