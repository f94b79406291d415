"""The predictions of the large LSTM that come with the package."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from imdb_classifier.config import PRODUCTION
from imdb_classifier.reviews.load import add_reviews, load_reviews
from imdb_classifier.training.data import random_split
from imdb_classifier.training.teachers import PREDICTIONS, Predictions


def test_reviews_of_ones_own_are_added_to_those_with_predictions() -> None:
    train, unlabeled = load_reviews(None, "train"), load_reviews(None, "unsupervised")
    own = replace(train, table=train.table.slice(0, 2_000), fingerprint="own")
    alone, together = (
        Predictions.of(reviews, unlabeled) for reviews in (train, add_reviews(train, [own]))
    )
    assert alone is not None
    assert together is not None
    first, added, last = np.split(together.log_odds, [len(train), len(train) + len(own)])
    assert np.concatenate([first, last]).tobytes() == alone.log_odds.tobytes()
    assert np.isnan(added).all()
    assert together.held_out.tolist() == alone.held_out.tolist()
    assert Predictions.of(own, unlabeled) is None
    assert Predictions.of(train, train) is None


def test_the_predictions_belong_to_the_reviews() -> None:
    train, unlabeled = load_reviews(None, "train"), load_reviews(None, "unsupervised")
    test = load_reviews(None, "test")
    predictions = Predictions.of(train, unlabeled)
    assert predictions is not None
    assert predictions.log_odds.shape == (len(train) + len(unlabeled),)
    assert ((predictions.log_odds > 0)[: len(train)] == (train.labels == 1)).mean() > 0.93
    saved = np.load(PREDICTIONS)
    assert saved["data"].tolist() == [part.fingerprint for part in (train, unlabeled, test)]
    assert ((saved["log_odds"][-len(test) :] > 0) == (test.labels == 1)).mean() > 0.945
    _, validation = random_split(len(train), PRODUCTION.training.validation_fraction, seed=1)
    assert predictions.held_out[validation].all()
    # The others that are held out repeat one of these.
    assert predictions.held_out.sum() < len(validation) + 50
