"""Logistic regression, and the calibration of log-odds."""

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


def fit_shares(
    log_odds: NDArray[np.float64],
    labels: NDArray[np.int8],
    prior: float,
    c: float,
    iterations: int,
) -> tuple[NDArray[np.float64], float]:
    """Return how much each of several models counts in a sum of their log-odds, and a bias.

    All models know the prior, but it counts once: the sum is ``prior + (log_odds - prior) @
    shares``, or ``log_odds @ shares + bias``. A bias that is fitted to few labels would be wrong.

    Args:
        log_odds: float64, (reviews, models), of reviews that were not trained on.
        labels: int8, (reviews,), 0 or 1.
        prior: Log-odds of *positive* in all reviews that were trained on.
        c: As in `fit_log_odds`.
        iterations: Maximum number of iterations.

    Returns:
        float64, (models,), the shares; and the bias.
    """
    from scipy.optimize import minimize

    known, signs = log_odds - prior, 2.0 * labels - 1

    def loss(shares: NDArray[np.float64]) -> float:
        losses = np.logaddexp(0, -signs * (prior + known @ shares))
        return float(losses.mean() + shares @ shares / (2 * c * len(labels)))

    found = minimize(loss, np.ones(log_odds.shape[1]), options={"maxiter": iterations})
    shares: NDArray[np.float64] = found.x
    return shares, prior * float(1 - shares.sum())


def fit_calibration(
    log_odds: NDArray[np.floating[Any]], labels: NDArray[np.int8], with_bias: bool
) -> tuple[float, float]:
    """Return the scale and the bias that calibrate log-odds (Platt, 1999).

    Args:
        log_odds: (reviews,), of reviews that were not trained on.
        labels: int8, (reviews,), 0 or 1.
        with_bias: Whether the bias is fitted, too, which takes thousands of labels.

    Returns:
        The factor of the log-odds, from 0.05 to 20, so that none is turned round; and what is added
        to the product, from -3 to 3.
    """
    from scipy.optimize import minimize

    given, signs = log_odds.astype(np.float64), 2.0 * labels - 1

    def log_loss(parameters: NDArray[np.float64]) -> float:
        log_scale, bias = parameters
        return float(np.logaddexp(0, -signs * (np.exp(log_scale) * given + bias)).mean())

    bounds = [(-3, 3), (-3, 3) if with_bias else (0, 0)]
    log_scale, bias = minimize(log_loss, [0.0, 0.0], method="L-BFGS-B", bounds=bounds).x
    return float(np.exp(log_scale)), float(bias)
