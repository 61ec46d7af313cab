"""A trial is stopped where the others' median is lower, once it and they were heard out."""

from pathlib import Path

from experiments.search import HEARD_OUT, Trial


def run(path: Path, errors: list[float], resumed: bool = False) -> int | None:
    """The step at which a trial is stopped, if it is."""
    trial = Trial(path, resumed)
    for step, error in enumerate(errors, start=1):
        if trial.hopeless(10 * step, error):
            return 10 * step
    return None


def test_the_hopeless_is_stopped_and_the_best_is_not(tmp_path: Path) -> None:
    for index in range(HEARD_OUT):
        assert run(tmp_path / f"{index}.json", [0.5, 0.4, 0.3, 0.2]) is None
    assert run(tmp_path / "worse.json", [0.9, 0.8, 0.7, 0.6]) == 10 * HEARD_OUT
    assert run(tmp_path / "better.json", [0.9, 0.8, 0.1, 0.1]) is None


def test_few_trials_stop_none(tmp_path: Path) -> None:
    for index in range(HEARD_OUT - 1):
        run(tmp_path / f"{index}.json", [0.1] * 4)
    assert run(tmp_path / "worse.json", [0.9] * 4) is None


def test_a_trial_that_goes_on_keeps_its_errors_and_one_begun_anew_does_not(tmp_path: Path) -> None:
    for index in range(HEARD_OUT):
        run(tmp_path / f"{index}.json", [0.5] * 4)
    run(tmp_path / "own.json", [0.9, 0.9])
    assert Trial(tmp_path / "own.json", resumed=True).hopeless(30, 0.9)
    assert not Trial(tmp_path / "own.json").hopeless(30, 0.9)


def test_a_file_that_is_just_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text('{"10": 0.')
    assert run(tmp_path / "own.json", [0.9] * 4) is None
