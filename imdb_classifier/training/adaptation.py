"""Adapting a trained network to other texts, by a few hundred labels.

The LSTM stays as it is. What may change is the bias and the scale of the log-odds, and the weights
of n-grams, old and new. The change is a logistic regression in the form that the network has: an
n-gram adds its weight, divided by the square root of the number of tokens. Which of these changes
is made is decided by cross-validation, and none is, unless it is shown to help.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from imdb_classifier.text.encoding import TokenSequences
from imdb_classifier.text.ngrams import Ngrams, fingerprints

Change = Literal["none", "bias and scale", "n-grams"]

FOLDS: Final = 5
LEAST_NGRAM_LABELS: Final = 200
_STRENGTHS: Final = (0.25, 1.0)
"""Standard deviations that weights of n-grams are expected to have, in log-odds of a text in which
an n-gram's share is 1."""
_SCALE_DEVIATION: Final = 0.5
_BIAS_DEVIATION: Final = 3.0
_LEAST_SCALE: Final = 0.05
_MINIMUM_REVIEWS: Final = 2
_ITERATIONS: Final = 60
_SIGNIFICANT: Final = 1.645
"""Standard errors by which the log loss must fall: one-sided p < 0.05."""
_LARGEST_CODE: Final = 127


@dataclass(frozen=True)
class Adaptation:
    """A change of a network's log-odds.

    Attributes:
        scale: Factor of the log-odds.
        bias: What is added to them.
        ngrams: The n-grams whose weights change.
        weights: float64, (n-grams,), what each adds to the log-odds, times the root of the number
            of tokens.
    """

    scale: float = 1.0
    bias: float = 0.0
    ngrams: Ngrams | None = None
    weights: NDArray[np.float64] | None = None

    def log_odds(
        self, log_odds: NDArray[np.float64], sequences: TokenSequences
    ) -> NDArray[np.float64]:
        """Return the log-odds after the change.

        Args:
            log_odds: float64, (reviews,), before it.
            sequences: The encoded reviews.
        """
        changed = self.scale * log_odds + self.bias
        if self.ngrams is not None and self.weights is not None:
            changed = changed + self.ngrams.log_odds(sequences, np.append(0, self.weights))
        return changed


@dataclass(frozen=True)
class Attempt:
    """A kind of change, and how it does on labels that it was not fitted on.

    Attributes:
        change: What changes.
        strength: Standard deviation that weights of n-grams are expected to have; None without.
        accuracy: Share of the labels that are right, in cross-validation.
        log_loss: Mean negative log-likelihood (nats), in cross-validation.
    """

    change: Change
    strength: float | None
    accuracy: float = 0.0
    log_loss: float = 0.0


def choose_adaptation(
    log_odds: NDArray[np.float64],
    sequences: TokenSequences,
    labels: NDArray[np.int8],
    groups: NDArray[np.uint64],
    step: float | None,
) -> tuple[Attempt, Adaptation, list[Attempt]]:
    """Fit every kind of change, and return the one that does best on labels that it has not seen.

    A change is made only if the log loss falls significantly and no more labels are wrong, beside
    no change, and n-grams only if this also holds beside bias and scale.

    Args:
        log_odds: float64, (reviews,), by the network as it is.
        sequences: The encoded reviews.
        labels: int8, (reviews,), 0 or 1.
        groups: (reviews,), equal for equal reviews, which are in the same fold.
        step: The unit that weights of n-grams are multiples of, in log-odds; None if the network
            has none.

    Returns:
        The attempt that was chosen, its change fitted on all labels, and all attempts.
    """
    folds = _folds(labels, groups)
    attempts: list[Attempt] = [Attempt("none", None), Attempt("bias and scale", None)]
    if step is not None and len(labels) >= LEAST_NGRAM_LABELS:
        attempts += [Attempt("n-grams", strength) for strength in _STRENGTHS]
    losses: list[NDArray[np.float64]] = []
    for number, attempt in enumerate(attempts):
        held_out = np.empty(len(labels))
        for fold in range(FOLDS):
            fitted_on, left = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
            fitted = fit_adaptation(
                attempt, log_odds[fitted_on], sequences.take(fitted_on), labels[fitted_on], step
            )
            held_out[left] = fitted.log_odds(log_odds[left], sequences.take(left))
        losses.append(_losses(held_out, labels))
        right = float(((held_out > 0) == (labels == 1)).mean())
        attempts[number] = replace(attempt, accuracy=right, log_loss=float(losses[-1].mean()))
    chosen = _chosen(attempts, losses)
    return chosen, fit_adaptation(chosen, log_odds, sequences, labels, step), attempts


def fit_adaptation(
    attempt: Attempt,
    log_odds: NDArray[np.float64],
    sequences: TokenSequences,
    labels: NDArray[np.int8],
    step: float | None,
) -> Adaptation:
    """Fit a change by penalized maximum likelihood; see `choose_adaptation` for the arguments."""
    from scipy.optimize import minimize
    from scipy.sparse import csr_array

    if attempt.change == "none":
        return Adaptation()
    ngrams, features = None, csr_array((len(labels), 0))
    frequencies = np.empty(0)
    if attempt.change == "n-grams" and attempt.strength is not None:
        ngrams = _frequent(sequences)
        ids, reviews = ngrams.held_by(sequences)
        values = 1 / np.sqrt(sequences.lengths[reviews])
        features = csr_array((values, (reviews, ids - 1)), (len(labels), len(ngrams)))
        holding = np.bincount(ids - 1, minlength=len(ngrams))
        # As in TF-IDF, rare n-grams may have larger weights.
        frequencies = attempt.strength * (1 + np.log((1 + len(labels)) / (1 + holding)))
        features = csr_array(features.multiply(frequencies))
    targets = labels.astype(np.float64)

    start = np.zeros(2 + features.shape[1])
    start[0] = 1
    deviations = np.ones(len(start))
    deviations[:2] = _SCALE_DEVIATION, _BIAS_DEVIATION

    def loss(values: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        fitted = values[0] * log_odds + values[1] + features @ values[2:]
        errors = 1 / (1 + np.exp(-np.clip(fitted, -500, 500))) - targets
        gaps = (values - start) / deviations
        slopes = np.concatenate([[errors @ log_odds, errors.sum()], features.T @ errors])
        likelihood = targets @ fitted - np.logaddexp(0, fitted).sum()
        return float(gaps @ gaps / 2 - likelihood), slopes + gaps / deviations

    bounds = [(_LEAST_SCALE, None), *[(None, None)] * (len(start) - 1)]
    options = {"maxiter": _ITERATIONS, "ftol": 1e-7}
    found = minimize(loss, start, jac=True, bounds=bounds, method="L-BFGS-B", options=options).x
    if ngrams is None or step is None:
        return Adaptation(float(found[0]), float(found[1]))
    # The network stores weights in 8 bits, before it scales them.
    unit = step * found[0]
    codes = np.clip(np.rint(found[2:] * frequencies / unit), -_LARGEST_CODE, _LARGEST_CODE)
    kept = codes != 0
    return Adaptation(
        float(found[0]), float(found[1]), Ngrams(ngrams.listed[kept]), codes[kept] * unit
    )


def _frequent(sequences: TokenSequences) -> Ngrams:
    """The n-grams that several of the reviews contain."""
    found, reviews = fingerprints(sequences)
    pairs = np.unique(np.stack([found.astype(np.int64), reviews]), axis=1)
    listed, counts = np.unique(pairs[0], return_counts=True)
    return Ngrams(listed[counts >= _MINIMUM_REVIEWS].astype(np.uint32))


def _folds(labels: NDArray[np.int8], groups: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return the fold of each review: equal ones share it, and folds have both labels alike."""
    _, first, group_of = np.unique(groups, return_index=True, return_inverse=True)
    order = np.random.default_rng(0).permutation(len(first))
    order = order[np.argsort(labels[first][order], kind="stable")]
    folds = np.empty(len(first), np.int64)
    folds[order] = np.arange(len(first)) % FOLDS
    return folds[group_of]


def _losses(log_odds: NDArray[np.float64], labels: NDArray[np.int8]) -> NDArray[np.float64]:
    losses: NDArray[np.float64] = np.logaddexp(0, np.where(labels == 1, -log_odds, log_odds))
    return losses


def _chosen(attempts: Sequence[Attempt], losses: Sequence[NDArray[np.float64]]) -> Attempt:
    best = 0
    scales = [1, min(range(2, len(attempts)), key=lambda n: attempts[n].log_loss, default=1)]
    for number in scales:
        gains = losses[best] - losses[number]
        error = gains.std(ddof=1) / np.sqrt(len(gains))
        if (
            gains.mean() > _SIGNIFICANT * error
            and attempts[number].accuracy >= attempts[best].accuracy
        ):
            best = number
    return attempts[best]
