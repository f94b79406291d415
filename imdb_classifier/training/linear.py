"""Logistic regression, and temperature scaling of log-odds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from warnings import catch_warnings, simplefilter

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy.sparse import csr_array


def fit_log_odds(
    features: NDArray[np.float32] | csr_array,
    labels: NDArray[np.int8],
    rows: NDArray[np.int64],
    c: float,
    iterations: int,
) -> NDArray[np.float32]:
    """Return all reviews' log-odds of *positive*, by a logistic regression fitted on some of them.

    Args:
        features: float32, (reviews, features).
        labels: int8, (reviews,), 0 or 1 in `rows`.
        rows: The reviews to learn from.
        c: Inverse regularization strength (scikit-learn's `C`).
        iterations: Number of iterations after which the regression stops; more do not improve one
            on n-grams.

    Returns:
        float32, (reviews,).
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=c, max_iter=iterations)
    with catch_warnings():
        # It stops where the recipe says.
        simplefilter("ignore", ConvergenceWarning)
        model.fit(features[rows], labels[rows])
    log_odds: NDArray[np.float32] = model.decision_function(features).astype(np.float32)
    return log_odds


def fit_weights(
    features: NDArray[np.floating[Any]], labels: NDArray[np.int8], c: float, iterations: int
) -> NDArray[np.float32]:
    """Return the weights with which the sum of the features is the log-odds of *positive*.

    Args:
        features: (reviews, features).
        labels: int8, (reviews,), 0 or 1.
        c: As in `fit_log_odds`.
        iterations: Maximum number of iterations; if the regression has not converged by then,
            scikit-learn warns.

    Returns:
        float32, (features,).
    """
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=c, max_iter=iterations, fit_intercept=False)
    weights: NDArray[np.float32] = model.fit(features, labels).coef_[0].astype(np.float32)
    return weights


def fit_temperature(log_odds: NDArray[np.floating[Any]], labels: NDArray[np.int8]) -> float:
    """Return the temperature by which to divide log-odds to calibrate them (Guo et al., 2017).

    Args:
        log_odds: (reviews,), of reviews that were not trained on.
        labels: int8, (reviews,), 0 or 1.

    Returns:
        From 0.05 to 20; 1 leaves the log-odds unchanged.
    """
    from scipy.optimize import minimize_scalar

    signed = np.where(labels == 1, log_odds, -log_odds).astype(np.float64)

    def log_loss(log_temperature: float) -> float:
        return float(np.logaddexp(0, -signed / np.exp(log_temperature)).mean())

    return float(np.exp(minimize_scalar(log_loss, bounds=(-3, 3), method="bounded").x))
