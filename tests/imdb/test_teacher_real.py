"""The predictions of the large LSTM that come with the package."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa

from imdb_classifier.config import PRODUCTION
from imdb_classifier.reviews.load import load_reviews
from imdb_classifier.training.data import random_split
from imdb_classifier.training.teachers import PREDICTIONS, Predictions


def test_the_reviews_of_imdb_are_known_in_any_order_and_among_others() -> None:
    train, unlabeled = load_reviews(None, "train"), load_reviews(None, "unsupervised")
    alone = Predictions.of(train, unlabeled)
    assert alone is not None
    own = pa.table([["An own review.", "Another one."], [1, 0]], schema=train.table.schema)
    # The last repeats one of IMDB's.
    table = pa.concat_tables([train.table, own, train.table.slice(0, 1)])
    order = np.random.default_rng(1).permutation(len(table))
    mixed = replace(train, table=table.take(pa.array(order)))
    reverse = np.arange(len(unlabeled))[::-1]
    turned = replace(unlabeled, table=unlabeled.table.take(pa.array(reverse)))
    found = Predictions.of(mixed, turned)
    assert found is not None
    log_odds = np.empty(len(table), np.float32)
    log_odds[order] = found.log_odds[: len(table)]
    held_out = np.empty(len(table), np.bool_)
    held_out[order] = found.held_out
    assert np.isnan(log_odds[len(train) : -1]).all()
    assert not np.isnan(log_odds[-1])
    # Reviews that stand there twice, but for punctuation, may change places.
    expected = alone.log_odds[: len(train)]
    assert (log_odds[: len(train)] != expected).sum() < 200
    assert np.abs(log_odds[: len(train)] - expected).max() < 3
    assert (found.log_odds[len(table) :][::-1] != alone.log_odds[len(train) :]).sum() < 600
    assert (held_out[: len(train)] != alone.held_out).sum() == 0
    assert found.held_out.sum() == alone.held_out.sum() + alone.held_out[0]


def test_other_reviews_have_no_predictions() -> None:
    train, unlabeled = load_reviews(None, "train"), load_reviews(None, "unsupervised")
    fewer = replace(train, table=train.table.slice(1))
    assert Predictions.of(fewer, unlabeled) is None
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
