"""Strata by confidence: how many rows to draw from each, and the accuracy that they show.

Source: W. G. Cochran, Sampling Techniques, third edition (1977), chapter 5.
"""

from __future__ import annotations

from statistics import NormalDist
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from imdb_classifier.evaluation.result import Figure
from imdb_classifier.schema import confidences

LOWEST_CONFIDENCES: Final = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
"""The lowest confidence of each stratum."""
LEAST_DRAWN: Final = 2
"""Rows to draw from each stratum, unless it has fewer: without any, nothing is known about it."""
HIGHEST_CONFIDENCE: Final = 0.95
"""More confidence than this does not lower a stratum's share of the sample: in a new domain, a
model may be wrong where it is sure."""
_Z: Final = NormalDist().inv_cdf(0.975)

Counts = NDArray[np.int64]
"""Numbers of rows, int64 (strata,)."""


def strata_of(probabilities: NDArray[np.float32]) -> NDArray[np.int8]:
    """Return the number of each row's stratum: int8 (rows,).

    Args:
        probabilities: Those of positive, float32 (rows,), in [0, 1].
    """
    lowest = np.array(LOWEST_CONFIDENCES, np.float32)
    found = np.searchsorted(lowest, confidences(probabilities), side="right") - 1
    return found.astype(np.int8)


def allocate(rows: Counts, confidence: NDArray[np.float64], drawn: int) -> Counts:
    """Return how many rows to draw from each stratum.

    This is Neyman's allocation, which gives the estimate its smallest variance: in proportion to
    the stratum's rows and standard deviation. The latter is taken from the model's confidence, up
    to `HIGHEST_CONFIDENCE`. Each row goes to the stratum where it lowers the variance most, so no
    stratum loses a row when more are drawn.

    Source: Cochran (1977), section 5.5; T. Wright, The equivalence of Neyman optimum allocation
    for sampling and equal proportions for apportioning the U.S. House of Representatives, The
    American Statistician 66 (2012), 217-224, for whole numbers.

    Args:
        rows: Rows of each stratum, at least one.
        confidence: Mean confidence in each stratum, float64 (strata,), in [0.5, 1].
        drawn: Number of rows to draw, at most all. Each stratum gets `LEAST_DRAWN` of its rows
            even if these are more.
    """
    trusted = np.minimum(confidence, HIGHEST_CONFIDENCE)
    spread = rows * np.sqrt(trusted * (1 - trusted))
    allocated = np.minimum(rows, LEAST_DRAWN)
    left = drawn - int(allocated.sum())
    if left <= 0:
        return allocated
    steps = [
        np.arange(have, min(most, have + left))
        for have, most in zip(allocated.tolist(), rows.tolist(), strict=True)
    ]
    gains = np.concatenate(
        [of / np.sqrt(step * (step + 1.0)) for of, step in zip(spread, steps, strict=True)]
    )
    strata = np.repeat(np.arange(len(rows)), [len(step) for step in steps])
    chosen = strata[np.argsort(-gains, kind="stable")[:left]]
    return allocated + np.bincount(chosen, minlength=len(rows))


def allocate_for(rows: Counts, confidence: NDArray[np.float64], half_width: float) -> Counts:
    """Return the smallest allocation with which the interval should have a half width.

    It will have, if the model is about as accurate as its confidence says.

    Args:
        rows: See `allocate`.
        confidence: See `allocate`.
        half_width: Half the width of the 95 % interval.
    """
    few, many = 0, 64
    while many < rows.sum() and expected(rows, confidence, many) > half_width:
        few, many = many, 2 * many
    many = min(many, int(rows.sum()))
    while many - few > 1:
        middle = (few + many) // 2
        if expected(rows, confidence, middle) > half_width:
            few = middle
        else:
            many = middle
    return allocate(rows, confidence, many)


def expected(rows: Counts, confidence: NDArray[np.float64], drawn: int) -> float:
    """Return the expected half width of the interval, see `allocate`."""
    allocated = allocate(rows, confidence, drawn)
    found = stratified_accuracy(rows, allocated, allocated * confidence)
    return (found.high - found.low) / 2


def stratified_accuracy(
    rows: Counts, labeled: Counts, right: NDArray[np.integer[Any] | np.floating[Any]]
) -> Figure:
    """Return the estimated share of right labels among all rows, with a 95 % interval.

    The estimate is the mean of the strata's shares, weighted by their rows, and unbiased. The
    interval combines the Wilson intervals of the strata by the method of variance estimates
    recovery (MOVER), which holds where a stratum has few labels or no wrong one, unlike the normal
    interval; distances are shortened by the finite population correction of each stratum.

    Source: Cochran (1977), sections 5.3 and 5.4; G. Y. Zou, W. Huang, X. Zhang, A note on
    confidence interval estimation for a linear function of binomial proportions, Computational
    Statistics & Data Analysis 53 (2009), 1080-1085, for the interval.

    Args:
        rows: Rows of each stratum, at least one.
        labeled: How many of them have a true label, at least one.
        right: How many of these are right, (strata,).
    """
    weights = rows / rows.sum()
    shares = right / labeled
    center = (shares + _Z**2 / (2 * labeled)) / (1 + _Z**2 / labeled)
    half = np.sqrt(shares * (1 - shares) / labeled + (_Z / (2 * labeled)) ** 2)
    half *= _Z / (1 + _Z**2 / labeled)
    scale = weights * np.sqrt(1 - labeled / rows)
    value = float(weights @ shares)
    below, above = (
        float(np.linalg.norm(scale * distance))
        for distance in (shares - (center - half), center + half - shares)
    )
    return Figure(value, max(0.0, value - below), min(1.0, value + above))
