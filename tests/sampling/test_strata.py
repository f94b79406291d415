"""The stratified estimate: unbiased, with an interval that holds, and narrower than without."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from imdb_classifier.evaluation.intervals import wilson
from imdb_classifier.sampling.strata import (
    LEAST_DRAWN,
    allocate,
    allocate_for,
    expected,
    strata_of,
    stratified_accuracy,
)

# As many as the bundled model's scores of the 25,000 test reviews.
ROWS = np.array([1_062, 1_109, 1_483, 2_478, 2_461, 5_797, 10_610])
CONFIDENCE = np.array([0.55, 0.65, 0.75, 0.855, 0.927, 0.974, 0.997])
DRAWN, REPLICATES = 400, 2_000


@pytest.mark.parametrize(
    "accuracy",
    [CONFIDENCE, 0.55 + 0.9 * (CONFIDENCE - 0.55), np.minimum(CONFIDENCE, 0.93)],
    ids=["calibrated", "overconfident", "wrong where it is sure"],
)
def test_the_estimate_is_unbiased_and_its_interval_holds(
    accuracy: NDArray[np.float64],
) -> None:
    right = np.round(ROWS * accuracy).astype(np.int64)
    truth = right.sum() / ROWS.sum()
    allocated = allocate(ROWS, CONFIDENCE, DRAWN)
    random = np.random.default_rng(0)
    found = [
        stratified_accuracy(ROWS, allocated, random.hypergeometric(right, ROWS - right, allocated))
        for _ in range(REPLICATES)
    ]
    values = np.array([figure.value for figure in found])
    assert abs(values.mean() - truth) < 4 * values.std() / REPLICATES**0.5
    covered = np.mean([figure.low <= truth <= figure.high for figure in found])
    assert 0.92 < covered < 0.98
    low, high = wilson(round(truth * DRAWN), DRAWN)
    width = np.mean([figure.high - figure.low for figure in found])
    assert width < 0.96 * (high - low), "of a simple random sample"
    assert values.std() < 0.97 * (truth * (1 - truth) / DRAWN) ** 0.5
    # As if rows were drawn without regard to their strata, the estimate would be off.
    assert abs((allocated @ accuracy) / DRAWN - truth) > 0.02


def test_as_many_rows_are_drawn_as_the_half_width_needs() -> None:
    for half_width in (0.01, 0.02, 0.05):
        drawn = int(allocate_for(ROWS, CONFIDENCE, half_width).sum())
        assert expected(ROWS, CONFIDENCE, drawn) <= half_width
        assert expected(ROWS, CONFIDENCE, drawn - 1) > half_width
    assert allocate_for(ROWS, CONFIDENCE, 1e-9).tolist() == ROWS.tolist()
    assert expected(ROWS, CONFIDENCE, int(ROWS.sum())) == 0, "everything is labeled"


def test_a_larger_sample_has_no_fewer_rows_of_any_stratum() -> None:
    last = allocate(ROWS, CONFIDENCE, 1)
    assert last.tolist() == [LEAST_DRAWN] * 7
    for drawn in range(15, 600, 5):
        allocated = allocate(ROWS, CONFIDENCE, drawn)
        assert allocated.sum() == drawn
        assert (allocated >= last).all()
        last = allocated
    few = np.array([1, 3, 100])
    assert allocate(few, CONFIDENCE[:3], 104).tolist() == [1, 3, 100]


def test_rows_have_the_stratum_of_their_confidence() -> None:
    probabilities = np.array([0.5, 0.4, 0.6, 0.05, 0.95, 0.01, 1.0], np.float32)
    assert strata_of(probabilities).tolist() == [0, 1, 1, 5, 5, 6, 6]
