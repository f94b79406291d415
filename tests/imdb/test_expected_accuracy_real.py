"""The expected accuracy of batches of real reviews, beside their true one."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from imdb_classifier.monitoring.drift import measure_drift
from imdb_classifier.reviews.load import load_reviews
from imdb_classifier.schema import TEXT, THRESHOLD, ScoreHistogram
from imdb_classifier.scoring.scorer import Scorer
from imdb_classifier.text.batch_profile import SCORE_BINS


def test_a_thousand_reviews_are_labeled_as_well_as_expected() -> None:
    test = load_reviews(None, "test")
    rows = np.random.default_rng(0).permutation(len(test))[:9_000]
    checked, new = rows[:4_000], rows[4_000:]
    with Scorer.load() as scorer:
        pending = scorer.start(test.table[TEXT].take(pa.array(checked)))
        scores, labels = pending.result().to_numpy(), test.labels[checked]
        histogram = ScoreHistogram(
            *(
                tuple(np.histogram(scores[labels == label], SCORE_BINS, (0, 1))[0].tolist())
                for label in (0, 1)
            )
        )
        errors, covered = [], 0
        for batch in np.split(new, 5):
            found = scorer.start(test.table[TEXT].take(pa.array(batch)))
            drift = measure_drift("", found.profile(), pending.profile(), checked=histogram)
            expected = drift.expected_accuracy
            assert expected is not None
            assert expected.is_trusted
            right = (found.result().to_numpy() >= THRESHOLD) == (test.labels[batch] == 1)
            errors.append(abs(expected.value - right.mean()))
            covered += expected.low <= right.mean() <= expected.high
    assert max(errors) < 0.015
    assert covered >= 4
