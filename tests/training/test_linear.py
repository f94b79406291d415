from __future__ import annotations

import warnings

import numpy as np
import pytest

from imdb_classifier.training.linear import (
    fit_calibration,
    fit_log_odds,
    fit_shares,
    fit_weights,
)


@pytest.mark.parametrize(("scale", "bias"), [(0.25, 0), (1, 0.5), (4, -1)])
def test_scale_and_bias_are_found(scale: float, bias: float) -> None:
    generator = np.random.default_rng(3)
    log_odds = generator.normal(0, 2, 40_000)
    labels = (generator.random(40_000) < 1 / (1 + np.exp(-log_odds))).astype(np.int8)
    found = fit_calibration((log_odds - bias) / scale, labels, with_bias=True)
    assert found == pytest.approx((scale, bias), rel=0.05, abs=0.05)


def test_a_model_that_is_mostly_wrong_is_not_turned_round() -> None:
    labels = np.array([0, 1] * 50, np.int8)
    scale, bias = fit_calibration(np.where(labels == 1, -1.0, 1.0), labels, with_bias=True)
    assert 0 < scale < 0.1
    assert bias == pytest.approx(0, abs=0.01)


def test_what_all_models_know_counts_once() -> None:
    generator = np.random.default_rng(3)
    prior, log_odds = -2.0, generator.normal(0, 2, (40_000, 2))
    labels = (generator.random(40_000) < 1 / (1 + np.exp(-prior - log_odds @ [0.5, 0.25]))).astype(
        np.int8
    )
    shares, bias = fit_shares(log_odds + prior, labels, prior, 1e4, 100)
    np.testing.assert_allclose(shares, [0.5, 0.25], atol=0.03)
    assert bias == pytest.approx(prior * (1 - shares.sum()))


def test_a_bias_that_few_labels_tell_is_left_out() -> None:
    labels = np.array([0, 1, 1, 1] * 8, np.int8)
    log_odds = np.where(labels == 1, 1.0, -1.0) * np.tile([1, -0.5], 16)
    assert fit_calibration(log_odds, labels, with_bias=True)[1] > 0.5
    assert fit_calibration(log_odds, labels, with_bias=False)[1] == 0


def test_log_odds_of_all_rows_come_from_some() -> None:
    generator = np.random.default_rng(4)
    features = generator.normal(0, 1, (300, 3)).astype(np.float32)
    labels = (features[:, 1] > 0).astype(np.int8)
    labels[200:] = -1  # not looked at
    log_odds = fit_log_odds(features, labels, np.arange(200), 10, 60)
    assert log_odds.dtype == np.float32
    assert ((log_odds[200:] > 0) == (features[200:, 1] > 0)).mean() > 0.95


def test_weights_are_fitted_until_they_converge() -> None:
    generator = np.random.default_rng(4)
    # Features of very different sizes take the solver more than a hundred iterations.
    features = generator.normal(0, 1, (2_000, 40)) * np.logspace(-1, 1, 40)
    labels = (features @ (generator.normal(0, 1, 40) / np.logspace(-1, 1, 40)) > 0).astype(np.int8)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        weights = fit_weights(features, labels, 10.0, 1_000)
    assert weights.dtype == np.float32
    assert ((features @ weights > 0) == labels).mean() > 0.95
