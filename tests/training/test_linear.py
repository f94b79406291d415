from __future__ import annotations

import warnings

import numpy as np
import pytest

from imdb_classifier.training.linear import fit_log_odds, fit_temperature, fit_weights


@pytest.mark.parametrize("temperature", [0.25, 1, 4])
def test_a_temperature_is_found(temperature: float) -> None:
    generator = np.random.default_rng(3)
    log_odds = generator.normal(0, 2, 40_000)
    labels = (generator.random(40_000) < 1 / (1 + np.exp(-log_odds))).astype(np.int8)
    assert fit_temperature(log_odds * temperature, labels) == pytest.approx(temperature, rel=0.05)


def test_a_model_that_is_mostly_wrong_is_not_turned_round() -> None:
    labels = np.array([0, 1] * 50, np.int8)
    assert fit_temperature(np.where(labels == 1, -1.0, 1.0), labels) > 10


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
