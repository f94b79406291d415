"""Expected accuracy: how many labels of a batch are right, estimated without true labels."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

from imdb_classifier.schema import THRESHOLD, ScoreHistogram
from imdb_classifier.text.batch_profile import SCORE_BINS, BatchProfile

_Z: Final = NormalDist().inv_cdf(0.975)


@dataclass(frozen=True)
class ExpectedAccuracy:
    """The accuracy to expect of a batch's labels.

    Attributes:
        value: Expected share of the labels that are right.
        low: Lower end of the 95 % interval.
        high: Upper end of the 95 % interval.
        labels: Number of labels.
        outside: Names of the measures by which the batch lies outside what the model was checked
            on, see `DriftLimits`: value and interval cannot be trusted then.
    """

    value: float
    low: float
    high: float
    labels: int
    outside: tuple[str, ...]

    @property
    def is_trusted(self) -> bool:
        """Whether the batch looks like the reviews that the model was checked on."""
        return not self.outside

    @property
    def summary(self) -> str:
        """One line with the value, its interval, and why it cannot be trusted, if so."""
        value, low, high = (f"{100 * share:.1f}" for share in (self.value, self.low, self.high))
        found = f"Expected accuracy: {value} % [{low}, {high}]"
        if self.is_trusted:
            return f"{found}."
        measures = ", ".join(name.replace("_", " ") for name in self.outside)
        return f"{found}, untrusted: unlike the reviews that the model was checked on ({measures})."


def estimate_accuracy(
    batch: BatchProfile, checked: ScoreHistogram, outside: Iterable[str], unsure: int = 0
) -> ExpectedAccuracy | None:
    """Estimate the accuracy of a batch's labels from its probabilities.

    This is confidence-based performance estimation (CBPE): the mean of ``max(p, 1 - p)``, where the
    probabilities are calibrated on the reviews that the model was checked on. They are calibrated
    by histogram binning: the confidence in a label is the share of right labels among the reviews
    checked whose probability is in the same range, with one review added that has the range's
    middle probability, so that a range without reviews has a confidence, too.

    The interval is that of the accuracy of this batch. It covers the chance in which of its labels
    are right, and that the confidence is known from a limited number of reviews. It does not cover
    that the texts may be of another kind, see `ExpectedAccuracy.outside`.

    Sums of counts give the same bits in any order of texts, files and threads.

    Source: NannyML, Confidence-based Performance Estimation,
    https://nannyml.readthedocs.io/en/stable/how_it_works/performance_estimation.html; B. Zadrozny,
    C. Elkan, Obtaining calibrated probability estimates from decision trees and naive Bayesian
    classifiers, ICML 2001, for the calibration.

    Args:
        batch: Profile of the batch.
        checked: The reviews that the model was checked on, by label and probability.
        outside: See `ExpectedAccuracy`.
        unsure: Number of texts without a label, those with the least confidence. Where they are
            only a part of a range, its other texts count as much as all of them would.

    Returns:
        The estimate; None for a batch without labels.
    """
    labels = batch.texts - unsure
    if labels <= 0:
        return None
    right, variances = [], []
    ranges = zip(_labeled(batch, unsure), checked.positives, checked.negatives, strict=True)
    for number, (count, positives, negatives) in enumerate(ranges):
        middle = (number + 0.5) / SCORE_BINS
        hits = positives if middle >= THRESHOLD else negatives
        reviews = positives + negatives + 1
        confidence = (hits + max(middle, 1 - middle)) / reviews
        right.append(count * confidence)
        variances.append(confidence * (1 - confidence) * (count + count**2 / reviews))
    value = math.fsum(right) / labels
    half = _Z * math.sqrt(math.fsum(variances)) / labels
    return ExpectedAccuracy(
        value, max(0.0, value - half), min(1.0, value + half), labels, tuple(outside)
    )


def _labeled(batch: BatchProfile, unsure: int) -> list[float]:
    """Return the number of labels in each range of probabilities."""
    counts = [float(count) for count in batch.scores]
    # From the middle outward, two ranges at a time have the same confidence.
    for below in range(SCORE_BINS // 2 - 1, -1, -1):
        pair = (below, SCORE_BINS - 1 - below)
        texts = sum(batch.scores[number] for number in pair)
        left_out = min(unsure, texts)
        unsure -= left_out
        for number in pair if left_out else ():
            counts[number] *= (texts - left_out) / texts
    return counts
