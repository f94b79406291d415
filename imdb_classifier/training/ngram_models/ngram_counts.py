"""Counts of n-grams in reviews, and sentiment predicted from these counts alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from imdb_classifier.config import TeachersConfig
from imdb_classifier.text.encoding import TokenSequences
from imdb_classifier.text.ngrams import fingerprints
from imdb_classifier.training.linear import fit_log_odds

if TYPE_CHECKING:
    from scipy.sparse import csr_array


def count_ngrams(
    sequences: TokenSequences, rows: NDArray[np.int64], minimum_reviews: int, part: int = 0
) -> tuple[NDArray[np.uint32], csr_array]:
    """Return the frequent n-grams of a part, and how often each review contains them there.

    Args:
        sequences: The encoded reviews.
        rows: The reviews to find n-grams in.
        minimum_reviews: Minimum number of these reviews that an n-gram must occur in.
        part: The number of the part, see `ngrams.REVIEW_PARTS`; 0 for whole reviews.

    Returns:
        uint32, (n-grams,), their fingerprints, ascending; and their counts in all reviews: float32,
        (reviews, n-grams).
    """
    from scipy.sparse import csr_array

    found, reviews = fingerprints(sequences, part)
    listed, columns = np.unique(found, return_inverse=True)
    ones = np.ones(len(columns), np.float32)
    counts = csr_array((ones, (reviews, columns)), (len(sequences), len(listed)))
    counts.sum_duplicates()
    frequent = np.bincount(counts[rows].indices, minlength=len(listed)) >= minimum_reviews
    return listed[frequent], counts[:, frequent]


def present(counts: csr_array) -> csr_array:
    """Return 1 where a review contains an n-gram, however often."""
    once = counts.copy()
    once.data[:] = 1
    return once


def log_count_ratios(
    once: csr_array,
    labels: NDArray[np.int8] | NDArray[np.float32],
    rows: NDArray[np.int64],
    smoothing: float,
) -> NDArray[np.float32]:
    """Return how much likelier each n-gram is in positive reviews than in negative ones.

    Wang and Manning (2012), Baselines and Bigrams.

    Args:
        once: float32, (reviews, n-grams), from `present`.
        labels: (reviews,), in `rows`: int8, 0 or 1; or float32, probabilities of *positive*.
        rows: The reviews to count in.
        smoothing: Occurrences added to each count.

    Returns:
        float32, (n-grams,): the natural logarithm of the ratio of their smoothed shares.
    """
    positive = labels[rows].astype(np.float32)
    shares = [
        counts / counts.sum()
        for side in (positive, 1 - positive)
        for counts in [smoothing + once[rows].T @ side]
    ]
    ratios: NDArray[np.float32] = np.log(shares[0] / shares[1]).astype(np.float32)
    return ratios


def log_ratio_log_odds(
    once: csr_array, labels: NDArray[np.int8], rows: NDArray[np.int64], config: TeachersConfig
) -> NDArray[np.float32]:
    """Return log-odds of *positive*, by logistic regression on n-grams times `log_count_ratios`.

    Args:
        once: float32, (reviews, n-grams), from `present`.
        labels: int8, (reviews,), 0 or 1 in `rows`.
        rows: The reviews to learn from.
        config: The settings of the teachers.

    Returns:
        float32, (reviews,), of all reviews.
    """
    from sklearn.preprocessing import normalize

    ratios = log_count_ratios(once, labels, rows, config.ratio_smoothing)
    weighted = normalize(once.multiply(ratios).tocsr(), copy=False)
    return fit_log_odds(weighted, labels, rows, config.ratio_c, config.regression_iterations)


def tf_idf_log_odds(
    counts: csr_array, labels: NDArray[np.int8], rows: NDArray[np.int64], config: TeachersConfig
) -> NDArray[np.float32]:
    """Return log-odds of *positive*, by logistic regression on the TF-IDF of n-grams.

    Args:
        counts: float32, (reviews, n-grams), from `count_ngrams`.
        labels: int8, (reviews,), 0 or 1 in `rows`.
        rows: The reviews to learn from.
        config: The settings of the teachers.

    Returns:
        float32, (reviews,), of all reviews.
    """
    c, iterations = config.tf_idf_c, config.regression_iterations
    return fit_log_odds(tf_idf(counts), labels, rows, c, iterations)


def tf_idf(counts: csr_array) -> csr_array:
    """Return the TF-IDF of counts, with 1 + log(count) as term frequency and rows of length 1."""
    from sklearn.feature_extraction.text import TfidfTransformer

    return TfidfTransformer(sublinear_tf=True).fit_transform(counts)
