"""Which runs of one to three words each review holds, and what these alone say of its sentiment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from imdb_classifier.encoding import TokenSequences
from imdb_classifier.linear import fit_log_odds

if TYPE_CHECKING:
    from scipy.sparse import csr_array

LONGEST: Final = 3

_SMOOTHING: Final = 1.0
_LOG_RATIO_C: Final = 10.0
_TF_IDF_C: Final = 30.0


def count_ngrams(sequences: TokenSequences, minimum_reviews: int) -> csr_array:
    """How often each review holds each n-gram of one to `LONGEST` tokens.

    Args:
        sequences: Whole reviews, in a vocabulary of up to a million words.
        minimum_reviews: N-grams that fewer reviews hold are left out.

    Returns:
        float32, (reviews, n-grams), shorter n-grams first.
    """
    from scipy.sparse import csr_array, hstack

    ids = sequences.ids.astype(np.int64)
    reviews = np.repeat(np.arange(len(sequences)), sequences.lengths)
    base = ids.max(initial=0) + 1
    parts, keys = [], np.zeros_like(ids)
    for length in range(1, LONGEST + 1):
        begins = max(len(ids) - length + 1, 0)
        keys = keys[:begins] * base + ids[length - 1 :]
        within = np.flatnonzero(reviews[:begins] == reviews[length - 1 :])
        if len(within) == 0:
            break
        _, columns = np.unique(keys[within], return_inverse=True)
        ones = np.ones(len(within), np.float32)
        part = csr_array((ones, (reviews[within], columns)), (len(sequences), columns.max() + 1))
        part.sum_duplicates()
        holding = np.bincount(part.indices, minlength=part.shape[1])
        parts.append(part[:, holding >= minimum_reviews])
    return hstack(parts, format="csr")


def present(counts: csr_array) -> csr_array:
    """1 where a review holds an n-gram, however often."""
    once = counts.copy()
    once.data[:] = 1
    return once


def log_count_ratios(
    once: csr_array, labels: NDArray[np.int8], rows: NDArray[np.int64]
) -> NDArray[np.float32]:
    """How much likelier each n-gram is in positive reviews than in negative ones.

    Wang and Manning (2012), Baselines and Bigrams.

    Args:
        once: What `present` gave.
        labels: 0 or 1 in these rows.
        rows: The reviews to count in.

    Returns:
        float32, (n-grams,): the logarithm of the ratio of their shares.
    """
    positive = labels[rows].astype(np.float32)
    shares = [
        counts / counts.sum()
        for side in (positive, 1 - positive)
        for counts in [_SMOOTHING + once[rows].T @ side]
    ]
    ratios: NDArray[np.float32] = np.log(shares[0] / shares[1]).astype(np.float32)
    return ratios


def log_ratio_log_odds(
    once: csr_array, labels: NDArray[np.int8], rows: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Log-odds of positive by logistic regression on n-grams weighted by `log_count_ratios`.

    Args:
        once: What `present` gave.
        labels: 0 or 1 in these rows.
        rows: The reviews to learn from.

    Returns:
        float32, (reviews,), of all reviews.
    """
    from sklearn.preprocessing import normalize

    weighted = once.multiply(log_count_ratios(once, labels, rows)).tocsr()
    return fit_log_odds(normalize(weighted, copy=False), labels, rows, _LOG_RATIO_C)


def tf_idf_log_odds(
    counts: csr_array, labels: NDArray[np.int8], rows: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Log-odds of positive by logistic regression on TF-IDF of n-grams, of all reviews, likewise.

    Args:
        counts: What `count_ngrams` gave.
        labels: 0 or 1 in these rows.
        rows: The reviews to learn from.
    """
    return fit_log_odds(tf_idf(counts), labels, rows, _TF_IDF_C)


def tf_idf(counts: csr_array) -> csr_array:
    """Counts with their logarithms weighted by rarity, each review of length 1."""
    from sklearn.feature_extraction.text import TfidfTransformer

    return TfidfTransformer(sublinear_tf=True).fit_transform(counts)
