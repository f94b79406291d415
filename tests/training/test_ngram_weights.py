from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_array
from sklearn.linear_model import LogisticRegression

from imdb_classifier.config import TeachersConfig
from imdb_classifier.training.linear import fit_weights
from imdb_classifier.training.ngram_models.ngram_weights import (
    regress_weights,
    strongest,
    weights_by_vectors,
)

REVIEWS, NGRAMS, SIZE = 200, 30, 5
LABELS = np.where(np.arange(REVIEWS) < 100, np.arange(REVIEWS) % 2, -1).astype(np.int8)


@pytest.fixture(scope="module")
def reviews() -> dict[str, Any]:
    """Reviews whose vectors lean one way or the other; every other one is positive."""
    generator = np.random.default_rng(4)
    vectors = generator.normal(0, 1, (REVIEWS, SIZE)).astype(np.float32)
    vectors[:, 0] += 2 * (np.arange(REVIEWS) % 2) - 1
    # N-grams of the first half stand in positive reviews, if mostly.
    chances = np.where(np.equal.outer(np.arange(REVIEWS) % 2, np.arange(NGRAMS) < 15), 0.4, 0.1)
    return {
        "once": csr_array((generator.random((REVIEWS, NGRAMS)) < chances).astype(np.float32)),
        "lengths": generator.integers(20, 400, REVIEWS),
        "ratios": generator.choice(np.array([-3.0, -0.5, 1.0], np.float32), NGRAMS),
        "vectors": vectors,
    }


def learned(reviews: dict[str, Any], **changed: Any) -> NDArray[np.float32]:
    given = reviews | {"labels": LABELS, "config": TeachersConfig(2, SIZE, 3, 0.5)} | changed
    names = ("once", "lengths", "labels", "ratios", "vectors", "config")
    return weights_by_vectors(*(given[name] for name in names))


def test_their_sum_over_the_root_is_the_regression_on_vectors(reviews: dict[str, Any]) -> None:
    found = learned(reviews)
    assert found.dtype == np.float32
    once, shares = reviews["once"].toarray(), np.minimum(np.abs(reviews["ratios"]) / 2, 1)
    means = once.T @ reviews["vectors"] / (once.sum(axis=0) + 3)[:, None]
    roots = np.sqrt(reviews["lengths"])[:, None]
    features = once @ (means * shares[:, None]) / roots
    log_odds = features @ fit_weights(features[:100], LABELS[:100], 0.2, 1_000)
    np.testing.assert_allclose(once @ found / roots[:, 0], log_odds, atol=1e-3)
    # Reviews without a label are told apart as well.
    assert ((log_odds > np.median(log_odds)) == np.arange(REVIEWS) % 2)[100:].mean() > 0.8


def test_an_ngram_that_says_nothing_by_itself_has_no_weight(reviews: dict[str, Any]) -> None:
    ratios = np.where(np.arange(NGRAMS) == 7, 0, reviews["ratios"]).astype(np.float32)
    found = learned(reviews, ratios=ratios)
    assert found[7] == 0
    assert (found != 0).sum() == NGRAMS - 1


def regressed(reviews: dict[str, Any], parts: int = 1, **changed: Any) -> NDArray[np.float32]:
    targets = np.where(np.arange(REVIEWS) % 2, 0.9, 0.2).astype(np.float32)
    config = replace(TeachersConfig(2, SIZE, 3, 0.5), penalty=1e-4, **changed)
    return regress_weights([reviews["once"]] * parts, reviews["lengths"], targets, config)


def test_the_regression_is_that_of_scikit_learn(reviews: dict[str, Any]) -> None:
    # Ratios that are all at their limit scale nothing.
    found = regressed(reviews, ratio_unit=1e-9, largest_ratio=1.0, penalized_iterations=1_000)
    assert found.dtype == np.float32
    features = reviews["once"].toarray() / np.sqrt(reviews["lengths"])[:, None]
    model = LogisticRegression(
        C=1 / (1e-4 * REVIEWS), fit_intercept=False, tol=1e-8, max_iter=9_999
    )
    # A probability is so many reviews of either label.
    labels, odd = np.repeat([1, 0], REVIEWS), np.arange(REVIEWS) % 2
    shares = np.concatenate([np.where(odd, 0.9, 0.2), np.where(odd, 0.1, 0.8)])
    model.fit(np.concatenate([features, features]), labels, sample_weight=shares)
    np.testing.assert_allclose(found, model.coef_[0], rtol=0.02, atol=0.02)


def test_a_weight_costs_less_the_more_an_ngram_says_by_itself(reviews: dict[str, Any]) -> None:
    plain = regressed(reviews, ratio_unit=1e-9, largest_ratio=1.0)
    scaled = regressed(reviews, ratio_unit=0.5, largest_ratio=4.0)
    positive = reviews["once"][np.arange(1, REVIEWS, 2)].sum(axis=0)
    ratios = np.abs(np.log((1 + positive) / (1 + reviews["once"].sum(axis=0) - positive)))
    clear = ratios > np.median(ratios)
    shares = [np.abs(weights)[clear].sum() / np.abs(weights).sum() for weights in (plain, scaled)]
    assert shares[1] > shares[0]


def test_weights_of_a_part_cost_more(reviews: dict[str, Any]) -> None:
    whole, part = np.split(regressed(reviews, parts=2, part_scale=0.5), 2)
    # Of the same n-grams: a quarter, the square of the scale.
    np.testing.assert_allclose(part, whole / 4, rtol=0.05, atol=0.01)


def test_the_strongest_move_many_reviews_much() -> None:
    weights = np.array([1.0, -2.0, 0.5, -0.5, 3.0], np.float32)
    holding = np.array([100, 9, 100, 100, 1])
    # Products with the root: 10, 6, 5, 5, 3; of equal ones the first is taken.
    none = np.empty(0, np.int64)
    assert strongest(weights, holding, 3, none).tolist() == [0, 1, 2]
    assert strongest(weights, holding, 9, none).tolist() == [0, 1, 2, 3, 4]


def test_some_are_kept_however_weak() -> None:
    weights, holding = np.array([3.0, 2.0, 0.0, 1.0], np.float32), np.array([9, 9, 0, 9])
    assert strongest(weights, holding, 2, certain=np.array([2])).tolist() == [0, 2]
