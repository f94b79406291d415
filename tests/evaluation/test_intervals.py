from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from imdb_classifier.evaluation import intervals


def test_wilson_by_hand() -> None:
    # z = 1.96, 8 of 10: center (0.8 + 0.19208) / 1.38416, half 1.96 * sqrt(0.025604) / 1.38416.
    assert intervals.wilson(8, 10) == pytest.approx((0.4901, 0.9433), abs=1e-4)


def test_wilson_of_nothing_is_everything() -> None:
    assert intervals.wilson(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize("trials", [1, 3, 10, 777])
def test_wilson_holds_the_extreme_proportions(trials: int) -> None:
    assert intervals.wilson(0, trials)[0] == 0.0
    assert intervals.wilson(trials, trials)[1] == 1.0


def test_mean_is_the_normal_interval() -> None:
    values = np.array([0.1, 0.4, 0.2, 0.9, 0.3])

    expected = stats.norm.interval(0.95, values.mean(), stats.sem(values))

    assert intervals.mean(values) == pytest.approx(expected, abs=1e-12)


def test_mean_is_cut_to_what_a_mean_can_be() -> None:
    assert intervals.mean(np.array([0.0, 1.0]), highest=1.0) == (0.0, 1.0)
    assert intervals.mean(np.array([0.0, 1.0]))[1] == pytest.approx(0.5 + 1.959964 * 0.5)


def _roc_auc_by_pairs(
    positives: NDArray[np.float64], negatives: NDArray[np.float64]
) -> tuple[float, float]:
    """DeLong's interval from all pairs, as the paper defines it."""
    wins = np.array([[float(p > n) + 0.5 * (p == n) for n in negatives] for p in positives])
    by_positive, by_negative = wins.mean(axis=1), wins.mean(axis=0)
    variance = by_positive.var(ddof=1) / len(positives) + by_negative.var(ddof=1) / len(negatives)
    low, high = stats.norm.interval(0.95, wins.mean(), math.sqrt(variance))
    return float(low), float(high)


@pytest.mark.parametrize("decimals", [1, 8], ids=["many ties", "no ties"])
def test_roc_auc_equals_delongs_definition(decimals: int) -> None:
    rng = np.random.default_rng(5)
    positives = np.round(rng.beta(3, 2, 37), decimals)
    negatives = np.round(rng.beta(2, 3, 53), decimals)

    expected = _roc_auc_by_pairs(positives, negatives)

    assert intervals.roc_auc(positives, negatives) == pytest.approx(expected, abs=1e-12)


def test_roc_auc_by_hand() -> None:
    # Placements 1, 1/2 and 1, 1/2: area 3/4, variance 1/8 / 2 + 1/8 / 2 = 1/8, cut at 1.
    low, high = intervals.roc_auc(np.array([0.9, 0.4]), np.array([0.6, 0.2]))

    assert low == pytest.approx(0.75 - 1.959964 * math.sqrt(1 / 8), abs=1e-6)
    assert high == 1.0


@pytest.mark.filterwarnings("error")
def test_roc_auc_of_one_row_of_a_label_is_unknown() -> None:
    assert intervals.roc_auc(np.array([0.9]), np.array([0.1, 0.2, 0.3])) == (0.0, 1.0)


def test_f1_agrees_with_a_bootstrap_over_rows() -> None:
    cells = np.repeat([0, 1, 2, 3], [800, 120, 180, 900])
    rng = np.random.default_rng(9)
    drawn = cells[rng.integers(0, len(cells), (4_000, len(cells)))]
    fp, fn, tp = ((drawn == cell).sum(axis=1) for cell in (1, 2, 3))

    expected = np.quantile(2 * tp / (2 * tp + fp + fn), [0.025, 0.975])

    assert intervals.f1(800, 120, 180, 900) == pytest.approx(tuple(expected), abs=2e-3)


def test_f1_never_divides_by_zero() -> None:
    # A quarter of the draws hold two true negatives and nothing else.
    assert intervals.f1(1, 0, 0, 1) == (0.0, 1.0)


def test_bootstraps_give_the_same_interval_twice() -> None:
    counts, sums = np.array([[30, 4], [9, 25]]), np.array([[6.0, 1.4], [6.1, 20.0]])

    assert intervals.f1(7, 2, 3, 8) == intervals.f1(7, 2, 3, 8)
    assert intervals.calibration_error(counts, sums) == intervals.calibration_error(counts, sums)


def test_expected_calibration_error_by_hand() -> None:
    # Ten rows: |0.2 * 4 - 1| + |4.5 - 3| + 0 = 1.7. The last bin is empty.
    counts = np.array([[3, 1], [3, 3], [0, 0]])
    sums = np.array([[0.6, 0.2], [2.1, 2.4], [0.0, 0.0]])

    assert intervals.expected_calibration_error(counts, sums) == pytest.approx(0.17)


def _cells(
    probabilities: NDArray[np.float64], labels: NDArray[np.int64], bins: int = 15
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    cells = 2 * np.minimum((probabilities * bins).astype(int), bins - 1) + labels
    return (
        np.bincount(cells, minlength=2 * bins).reshape(bins, 2),
        np.bincount(cells, probabilities, 2 * bins).astype(np.float64).reshape(bins, 2),
    )


def _coverage(distortion: float, rows: int, trials: int = 60) -> float:
    """How often the interval holds the error of a model with known probabilities."""
    rng = np.random.default_rng(3)
    logits = rng.normal(0, 2.5, 400_000)
    true, stated = 1 / (1 + np.exp(-logits)), 1 / (1 + np.exp(-distortion * logits))
    counts, sums = _cells(stated, np.zeros(len(stated), dtype=int))
    positives = np.bincount(np.minimum((stated * 15).astype(int), 14), true, 15)
    error = np.abs(sums.sum(axis=1) - positives).sum() / counts.sum()
    held = 0
    for _ in range(trials):
        sample = rng.integers(0, len(true), rows)
        labels = (rng.random(rows) < true[sample]).astype(int)
        low, high = intervals.calibration_error(*_cells(stated[sample], labels))
        held += low <= error <= high
    return held / trials


@pytest.mark.parametrize(
    ("distortion", "rows"), [(1.0, 500), (1.0, 5_000), (1.6, 500), (1.6, 5_000)]
)
def test_calibration_error_interval_holds_the_true_error(distortion: float, rows: int) -> None:
    # Approximate: not 95 %, as the docstring says.
    assert _coverage(distortion, rows) >= 0.85


def test_calibration_error_interval_leaves_zero_only_with_reason() -> None:
    calibrated = np.array([[80, 20], [20, 80]]), np.array([[16.0, 4.0], [16.0, 64.0]])
    overconfident = np.array([[80, 20], [20, 80]]), np.array([[0.8, 0.2], [19.8, 79.2]])

    assert intervals.calibration_error(*calibrated)[0] == 0.0
    assert intervals.calibration_error(*overconfident)[0] > 0.1


def test_calibration_error_interval_of_a_lucky_sample_has_width() -> None:
    # No gap at all in 200 rows; a gap is the mean of 100 draws with deviation 0.4 in each bin.
    counts, sums = np.array([[80, 20], [20, 80]]), np.array([[16.0, 4.0], [16.0, 64.0]])

    low, high = intervals.calibration_error(counts, sums)

    assert low == 0.0
    assert 0.04 < high < 0.08


def test_calibration_error_interval_mirrors_the_replicates() -> None:
    # One bin, gap 0.1 of 1,000 rows: replicates spread evenly around it, so does the interval.
    low, high = intervals.calibration_error(np.array([[600, 400]]), np.array([[300.0, 200.0]]))

    half = 1.959964 * math.sqrt(0.4 * 0.6 / 1_000)
    assert (low, high) == pytest.approx((0.1 - half, 0.1 + half), abs=2e-3)


def test_calibration_error_interval_takes_the_bias_off() -> None:
    rng = np.random.default_rng(1)
    stated = rng.uniform(0, 1, 500)
    labels = (rng.random(500) < 0.2 + 0.6 * stated).astype(np.int64)
    counts, sums = _cells(stated, labels)
    error = float(intervals.expected_calibration_error(counts, sums))

    low, high = intervals.calibration_error(counts, sums)

    assert 0 < low < error < high
    assert high - error < 0.9 * (error - low)
