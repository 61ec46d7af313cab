"""When an output answers a question, as BABILong decides it."""

import pytest

from data.babi import Story
from data.babilong_form import right


@pytest.mark.parametrize(
    ("output", "score"),
    [
        (" bathroom", True),
        ("The most recent location of Mary is BATHROOM. Then kitchen.", True),
        ("bathroom<example> kitchen", True),
        ("bathroom or kitchen", False),
        ("kitchen", False),
        ("", False),
        ("I do not know. bathroom", False),
        ("in the bathroom, west of the garden", True),  # the question names the garden
    ],
)
def test_the_answer_and_no_other_label(output: str, score: bool) -> None:
    story = Story((), "What is west of the garden?", "bathroom")
    assert right(output, story, "qa4") is score
