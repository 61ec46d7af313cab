"""Whether a trial of a search is worth going on.

Hydra's Optuna sweeper proposes trials and collects their results, and knows nothing of pruning: the
trials of a search leave their validation errors in one folder, and each compares its own with them.
"""

import json
import warnings
from pathlib import Path

import optuna
from hydra.core.hydra_config import HydraConfig
from optuna.trial import FrozenTrial, TrialState, create_trial

from experiments.sweep import digest, shared

# So many trials, and so many validations of each, are heard out before any is stopped.
HEARD_OUT = 3


def this_run(resumed: bool) -> "Trial":
    """This run as a trial of its sweep; one that is resumed has validation errors from before."""
    own = digest(HydraConfig.get().runtime.output_dir)
    return Trial(shared() / "trials" / f"{own}.json", resumed)


class Trial:
    """The validation errors of a run, beside those of the others of its search.

    Args:
        path: where it keeps its own; the others are in the same folder.
        resumed: whether what is there is kept.
    """

    def __init__(self, path: Path, resumed: bool = False) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        if not resumed:
            path.unlink(missing_ok=True)

    def hopeless(self, step: int, error: float) -> bool:
        """Notes a validation error; True where it is above the median of the others."""
        errors = _errors(self.path) | {step: error}
        self.path.write_text(json.dumps(errors), encoding="utf-8")
        if len(errors) < HEARD_OUT:
            return False
        others = [_errors(path) for path in self.path.parent.glob("*.json") if path != self.path]
        pruner = optuna.pruners.MedianPruner(n_startup_trials=HEARD_OUT)
        with warnings.catch_warnings():
            # Making trials from outside a study is experimental in Optuna 2.
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            study = optuna.create_study()
            study.add_trials([_trial(curve, TrialState.COMPLETE) for curve in others if curve])
            return bool(pruner.prune(study, _trial(errors, TrialState.RUNNING)))


def _errors(path: Path) -> dict[int, float]:
    """Step to error; empty where another process is just writing."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return {int(step): float(error) for step, error in found.items()}


def _trial(errors: dict[int, float], state: TrialState) -> FrozenTrial:
    value = min(errors.values()) if state == TrialState.COMPLETE else None
    return create_trial(state=state, value=value, intermediate_values=errors)
