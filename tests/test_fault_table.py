"""The table of faults says what became of each."""

from tests.fault_table import lines


def test_a_fault_is_a_row_with_its_worst_first() -> None:
    cases = [
        ("kill -9", "goes on", "passed"),
        ("a full disk", "is said", "passed"),
        ("kill -9", "goes on", "failed"),
        ("a full disk", "is said", "passed"),
        ("no GPU", "is said", "skipped"),
    ]
    assert list(lines(cases)) == [
        "fault        outcome  tests",
        "a full disk  is said  2 passed",
        "kill -9      goes on  1 failed, 1 passed",
        "no GPU       is said  1 skipped",
    ]


def test_without_a_fault_there_is_no_table() -> None:
    assert not list(lines([]))
