"""Records of one name and of two trainings are not pooled."""

from experiments.trained import latest_training
from tests.experiments.needle_records import KEY, niah, table2

OLD, NEW = {"optimizer": "old", "evaluations": "a"}, {"optimizer": "new", "evaluations": "a"}
MAY = "2026-05-01T00:00:00+00:00"


def test_the_training_that_conf_had_last_counts() -> None:
    old = niah(10, seed=1, configuration=OLD)
    new = niah(90, seed=0, configuration=NEW, started=MAY)
    more = niah(91, seed=2, configuration=NEW | {"evaluations": "b"}, started=MAY)
    assert latest_training([old, new, more], []) == [new, more]
    (block,) = table2(old, new, more).reduced
    assert {score.values for score in block.scores.values()} == {(90.0, 91.0)}


def test_a_scored_checkpoint_goes_with_the_training_before_it() -> None:
    old, scored = niah(10, configuration=OLD), niah(20, "evaluate_only=last.ckpt")
    assert latest_training([old, scored], []) == [old, scored]
    new = niah(90, configuration=NEW, started=MAY)
    assert latest_training([old, scored, new], []) == [new]
    assert latest_training([scored, new], []) == [scored, new]


def test_values_of_what_a_mean_is_over_are_trained_apart() -> None:
    horizons = [
        niah(1, configuration=it, settings={"task.horizon": n}) for n, it in ((96, OLD), (720, NEW))
    ]
    assert latest_training(horizons, ["task.horizon"]) == horizons
    assert latest_training(horizons, []) == horizons[1:]
    assert KEY in horizons[0].scores
