"""One weight for each n-gram: its contribution to the log-odds of the reviews that contain it.

The n-grams of the network have the weights of a logistic regression on what the teachers say of
reviews, labeled or not (`regress_weights`).

One of the teachers has weights that come from document vectors (`weights_by_vectors`). The vector
of an n-gram is the mean of the document vectors of the reviews that contain it, scaled down if its
log count ratio is small. The vector of a new review is then the sum of the vectors of its n-grams,
divided by the square root of its length. A logistic regression on these vectors is linear in each
n-gram, so every n-gram gets one weight. The regression has only a few hundred coefficients, not one
per n-gram, so the weights generalize even for n-grams that occur in a handful of reviews; and the
vectors come from labeled and unlabeled reviews alike (see `document_vectors`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from imdb_classifier.config import TeachersConfig
from imdb_classifier.training.linear import fit_weights
from imdb_classifier.training.ngram_models.document_vectors import kept_shares
from imdb_classifier.training.ngram_models.ngram_counts import log_count_ratios

if TYPE_CHECKING:
    from scipy.sparse import csr_array


def weights_by_vectors(
    once: csr_array,
    lengths: NDArray[np.int64],
    labels: NDArray[np.int8],
    ratios: NDArray[np.float32],
    vectors: NDArray[np.float32],
    config: TeachersConfig,
) -> NDArray[np.float32]:
    """Return the weight of each n-gram.

    Args:
        once: float32, (reviews, n-grams), from `ngram_counts.present`.
        lengths: int64, (reviews,), number of tokens in each review.
        labels: int8, (reviews,), 0 or 1, or -1 if unlabeled.
        ratios: float32, (n-grams,), from `ngram_counts.log_count_ratios`.
        vectors: float32, (reviews, size), from `document_vectors.train_document_vectors`.
        config: The settings of the teachers.

    Returns:
        float32, (n-grams,). The sum of the weights of a review's distinct n-grams, divided by the
        square root of its number of tokens, is the log-odds of *positive*.
    """
    holding = np.bincount(once.indices, minlength=once.shape[1]).astype(np.float32)
    shares = kept_shares(ratios, config.kept_ratio) / (holding + np.float32(config.prior_reviews))
    ngram_vectors = (once.T @ vectors) * shares[:, None]
    labeled = np.flatnonzero(labels >= 0)
    roots = np.sqrt(lengths[labeled], dtype=np.float32)
    features = (once[labeled] @ ngram_vectors) / roots[:, None]
    c, iterations = config.ngram_c, config.weight_iterations
    of_vectors = fit_weights(features, labels[labeled], c, iterations)
    weights: NDArray[np.float32] = ngram_vectors @ of_vectors
    return weights


def regress_weights(
    parts: Sequence[csr_array],
    lengths: NDArray[np.int64],
    targets: NDArray[np.float32],
    config: TeachersConfig,
) -> NDArray[np.float32]:
    """Return the weight of each n-gram, by logistic regression on probabilities.

    A weight costs less, the further the n-gram's log count ratio is from 0: the features are scaled
    by the ratios, as in Wang and Manning (2012).

    Args:
        parts: For each part of the reviews, see `ngrams.REVIEW_PARTS`, the n-grams that stand
            there: float32, (reviews, n-grams), from `ngram_counts.present`.
        lengths: int64, (reviews,), number of tokens in each review.
        targets: float32, (reviews,), in [0, 1], probabilities of *positive*.
        config: The settings of the teachers.

    Returns:
        float32, (n-grams,), of all parts in turn. The sum of the weights of a review's distinct
        n-grams, divided by the square root of its number of tokens, is the log-odds of *positive*.
    """
    from scipy.optimize import minimize
    from scipy.sparse import hstack

    scales = []
    for part, once in enumerate(parts):
        ratios = log_count_ratios(once, targets, np.arange(len(targets)), config.ratio_smoothing)
        scale = np.minimum(np.abs(ratios) / config.ratio_unit, config.largest_ratio)
        scales.append(scale * (1 if part == 0 else config.part_scale))
    scale = np.concatenate(scales).astype(np.float32)
    roots = np.sqrt(lengths, dtype=np.float32)
    features = hstack(parts, format="csr").multiply(1 / roots[:, None]).tocsr()
    transposed = features.T.tocsr()

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        log_odds = (features @ (scale * weights).astype(np.float32)).astype(np.float64)
        errors = (1 / (1 + np.exp(-log_odds)) - targets) / len(targets)
        slopes = scale * (transposed @ errors.astype(np.float32)) + config.penalty * weights
        mean = float((np.logaddexp(0, log_odds) - targets * log_odds).mean())
        return mean + config.penalty / 2 * float(weights @ weights), slopes.astype(np.float64)

    start, options = np.zeros(len(scale)), {"maxiter": config.penalized_iterations}
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options=options).x
    weights: NDArray[np.float32] = (scale * found).astype(np.float32)
    return weights


def strongest(
    weights: NDArray[np.floating[Any]],
    holding: NDArray[np.int64],
    count: int,
    certain: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Return the n-grams with the largest absolute weight times the square root of `holding`.

    Args:
        weights: floats, (n-grams,).
        holding: int64, (n-grams,), number of reviews that contain each n-gram.
        count: Maximum number of n-grams to keep.
        certain: int64, indices of n-grams that are kept in any case; `count` at most.

    Returns:
        int64, (kept,), their indices, ascending.
    """
    strength = np.abs(weights) * np.sqrt(holding)
    strength[certain] = np.inf
    return np.sort(np.argsort(-strength, kind="stable")[:count])
