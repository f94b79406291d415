"""One weight for each n-gram: what it adds to the log-odds of the reviews that hold it.

The vector of an n-gram is the mean of the vectors of the reviews that hold it, the smaller the less
log count ratios make of it. The vector of a review that was never seen is then the sum of those of
its n-grams, over the root of its length, and a logistic regression on these vectors is linear in
each n-gram: every n-gram gets one weight. It is learned from a few hundred weights, not from as
many as there are n-grams, so that it holds for n-grams of a handful of reviews; and the vectors
come from labeled and unlabeled reviews alike (see `document_vectors`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from imdb_classifier.training.document_vectors import kept_shares
from imdb_classifier.training.linear import fit_weights

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_C: Final = 0.2
_PRIOR_REVIEWS: Final = np.float32(3)
"""So many reviews of a zero vector stand beside those that hold an n-gram."""


def learn_ngram_weights(
    once: csr_array,
    lengths: NDArray[np.int64],
    labels: NDArray[np.int8],
    ratios: NDArray[np.float32],
    vectors: NDArray[np.float32],
) -> NDArray[np.float32]:
    """The weight of each n-gram.

    Args:
        once: 1 where a review holds an n-gram: float32, (reviews, n-grams).
        lengths: Tokens of each review: (reviews,).
        labels: int8, (reviews,), 0 or 1, or -1 where there is none.
        ratios: float32, (n-grams,), what `ngram_counts.log_count_ratios` gave.
        vectors: float32, (reviews, size), what `document_vectors.train_document_vectors` gave.

    Returns:
        float32, (n-grams,). The sum of the weights of a review's n-grams, each taken once, over
        the root of its tokens, is the log-odds of positive.
    """
    holding = np.bincount(once.indices, minlength=once.shape[1]).astype(np.float32)
    shares = kept_shares(ratios) / (holding + _PRIOR_REVIEWS)
    ngram_vectors = (once.T @ vectors) * shares[:, None]
    labeled = np.flatnonzero(labels >= 0)
    roots = np.sqrt(lengths[labeled], dtype=np.float32)
    features = (once[labeled] @ ngram_vectors) / roots[:, None]
    weights: NDArray[np.float32] = ngram_vectors @ fit_weights(features, labels[labeled], _C)
    return weights


def strongest(
    weights: NDArray[np.float32], holding: NDArray[np.int64], count: int
) -> NDArray[np.int64]:
    """The n-grams that move the most reviews the most.

    Args:
        weights: float32, (n-grams,).
        holding: int64, (n-grams,), how many reviews hold each.
        count: How many to keep, at most.

    Returns:
        int64, (kept,), their places, ascending.
    """
    strength = np.abs(weights) * np.sqrt(holding)
    return np.sort(np.argsort(-strength, kind="stable")[:count])
