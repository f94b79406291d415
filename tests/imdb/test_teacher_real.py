"""The predictions of the large LSTM that are kept for experiments."""

from __future__ import annotations

import numpy as np

from benchmarks.distillation import TEACHER
from imdb_classifier.config import PRODUCTION
from imdb_classifier.reviews.load import load_reviews
from imdb_classifier.training.data import random_split


def test_the_predictions_belong_to_the_reviews() -> None:
    train, unlabeled = load_reviews(None, "train"), load_reviews(None, "unsupervised")
    test = load_reviews(None, "test")
    saved = np.load(TEACHER)
    assert saved["data"].tolist() == [part.fingerprint for part in (train, unlabeled, test)]
    assert saved["log_odds"].shape == (len(train) + len(unlabeled) + len(test),)
    assert ((saved["log_odds"][-len(test) :] > 0) == (test.labels == 1)).mean() > 0.945
    _, validation = random_split(len(train), PRODUCTION.training.validation_fraction, seed=1)
    assert saved["held"][validation].all()
    # The others that are held out repeat one of these.
    assert saved["held"].sum() < len(validation) + 50
