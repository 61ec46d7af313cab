"""The models of one scale are of one size, and FIDELITY.md says which."""

from itertools import pairwise

import pytest

from tests.sizes import PAGE, SCALES, build, fitting_width, matched, measure, names, page


@pytest.mark.parametrize("model", names())
def test_larger_scales_have_more_parameters(model: str) -> None:
    totals = [measure(model, scale).total for scale in SCALES]
    assert all(small < large for small, large in pairwise(totals))


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("model", matched())
def test_as_large_as_lmm(model: str, scale: str) -> None:
    assert measure(model, scale).total == pytest.approx(measure("lmm", scale).total, rel=0.03)
    # What `make sizes` would write.
    width = build(model, scale).backbone.blocks[0].mlp.outer.in_features
    assert width == fitting_width(model, scale)


def test_all_but_lmm_and_what_is_cut_from_it_are_matched() -> None:
    assert set(names()) - set(matched()) == {n for n in names() if n.split("_")[0] == "lmm"}


def test_the_table_is_current() -> None:
    assert PAGE.read_text() == page()
