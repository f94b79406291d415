"""One weight for each n-gram: its contribution to the log-odds of the reviews that contain it.

The vector of an n-gram is the mean of the document vectors of the reviews that contain it, scaled
down if its log count ratio is small. The vector of a new review is then the sum of the vectors of
its n-grams, divided by the square root of its length. A logistic regression on these vectors is
linear in each n-gram, so every n-gram gets one weight. The regression has only a few hundred
coefficients, not one per n-gram, so the weights generalize even for n-grams that occur in a
handful of reviews; and the vectors come from labeled and unlabeled reviews alike (see
`document_vectors`).
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
"""Zero vectors that are added to the mean of each n-gram, to shrink the vectors of rare n-grams."""


def learn_ngram_weights(
    once: csr_array,
    lengths: NDArray[np.int64],
    labels: NDArray[np.int8],
    ratios: NDArray[np.float32],
    vectors: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Return the weight of each n-gram.

    Args:
        once: float32, (reviews, n-grams), from `ngram_counts.present`.
        lengths: int64, (reviews,), number of tokens in each review.
        labels: int8, (reviews,), 0 or 1, or -1 if unlabeled.
        ratios: float32, (n-grams,), from `ngram_counts.log_count_ratios`.
        vectors: float32, (reviews, size), from `document_vectors.train_document_vectors`.

    Returns:
        float32, (n-grams,). The sum of the weights of a review's distinct n-grams, divided by the
        square root of its number of tokens, is the log-odds of *positive*.
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
    """Return the n-grams with the largest absolute weight times the square root of `holding`.

    Args:
        weights: float32, (n-grams,).
        holding: int64, (n-grams,), number of reviews that contain each n-gram.
        count: Maximum number of n-grams to keep.

    Returns:
        int64, (kept,), their indices, ascending.
    """
    strength = np.abs(weights) * np.sqrt(holding)
    return np.sort(np.argsort(-strength, kind="stable")[:count])
