"""What a class or function of ours does not take is refused by the name of its setting."""

from collections.abc import Callable

import pytest
from omegaconf import DictConfig

from experiments.arguments import check_arguments

PLACES = ("task.network", "task.objective", "task.data", "task.evaluations")


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("task.steps=null", r"^task\.steps is null: input should be a valid integer"),
        ("hardware.micro_batch=abc", r"^hardware\.micro_batch is 'abc': .* integer"),
        (
            "model.memory.gates.momentum=null",
            r"^model\.memory\.gates\.momentum is null: .* boolean",
        ),
        ("task.data.vary=nan", r"^task\.data\.vary is nan: .* finite"),
        (f"scale.layers={10**21}", r"^scale\.layers is 10+, which is more than"),
        ("+task.data.nope=1", r"^task\.data has no setting nope: it has .*least_prompts"),
        ("+task.data.workers.more=1", r"^task\.data\.workers is \{'more': 1\}: .* integer"),
    ],
)
def test_what_is_not_taken_is_named_as_it_was_typed(
    compose: Callable[..., DictConfig], typed: str, said: str
) -> None:
    config = compose("task=niah", "model=mac", typed)
    with pytest.raises(ValueError, match=said):
        check_arguments(config, *PLACES)


def test_null_is_taken_where_it_means_something(compose: Callable[..., DictConfig]) -> None:
    config = compose("task=niah", "model=mac", "model.memory.clip=null", "task.prose=null")
    check_arguments(config, *PLACES)
