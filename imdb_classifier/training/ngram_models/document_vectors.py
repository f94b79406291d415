"""Document vectors: one for each review, labeled or not, learned from the n-grams it contains.

A review's vector is close to those of the n-grams that the review contains, and far from others:
the cosine of the two vectors, times `sharpness`, is the log-odds of a true pair against a random
one (Thongtan and Phienthrakul, 2019, Sentiment Classification Using Document Embeddings Trained
with Cosine Similarity). N-grams that say little about sentiment, by their log count ratios, are
mostly skipped (Bingyu and Arefyev, 2022). The vectors are initialized by latent semantic analysis,
which gives what random vectors reach only after many passes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from imdb_classifier.config import TeachersConfig
from imdb_classifier.training.ngram_models.ngram_counts import present, tf_idf

if TYPE_CHECKING:
    from scipy.sparse import csr_array


def train_document_vectors(
    counts: csr_array,
    ratios: NDArray[np.float32],
    config: TeachersConfig,
    seed: int,
    passed: Callable[[int], None],
) -> NDArray[np.float32]:
    """Train document vectors.

    Args:
        counts: float32, (reviews, n-grams), from `ngram_counts.count_ngrams`.
        ratios: float32, (n-grams,), from `ngram_counts.log_count_ratios`.
        config: The settings of the teachers; its vector_size is smaller than either dimension of
            `counts`.
        seed: Determines the order of reviews, the skipped n-grams and the random pairs.
        passed: Called with the number of each finished pass, from 1.

    Returns:
        float32, (reviews, vector_size), each of length ``sqrt(vector_size)``.
    """
    generator = np.random.default_rng(seed)
    once = present(counts)
    reviews, ngrams = _first_vectors(counts, once, config, seed)
    kept = kept_shares(ratios, config.kept_ratio)
    frequencies = np.bincount(once.indices, minlength=once.shape[1])
    chances = np.cumsum((frequencies * kept) ** config.random_pair_power)
    rates = np.linspace(1, config.last_rate, config.vector_passes)
    for number, rate in enumerate(rates, 1):
        drawn = np.searchsorted(chances, generator.random(config.random_pairs) * chances[-1])
        used = 0
        for row in generator.permutation(len(reviews)):
            held = once.indices[once.indptr[row] : once.indptr[row + 1]]
            held = held[generator.random(len(held), dtype=np.float32) < kept[held]]
            if len(held) == 0:
                continue
            if used + len(held) > len(drawn):
                drawn, used = generator.permutation(drawn), 0
            pairs = np.concatenate([held, drawn[used : used + len(held)]])
            used += len(held)
            _step(reviews[row], ngrams, pairs, np.float32(rate), config)
        passed(number)
    lengths = np.linalg.norm(reviews, axis=1, keepdims=True)
    scaled: NDArray[np.float32] = reviews * (np.sqrt(np.float32(config.vector_size)) / lengths)
    return scaled


def kept_shares(ratios: NDArray[np.float32], kept_ratio: float) -> NDArray[np.float32]:
    """Return the shares of n-grams to keep, by log count ratio: float32, (n-grams,), in [0, 1]."""
    return np.minimum(np.abs(ratios) / np.float32(kept_ratio), np.float32(1))


def _step(
    review: NDArray[np.float32],
    ngrams: NDArray[np.float32],
    pairs: NDArray[np.int64],
    rate: np.float32,
    config: TeachersConfig,
) -> None:
    """Take a gradient step for a review and n-grams, in place; the first half are true pairs."""
    true = len(pairs) // 2
    directions = ngrams[pairs]
    lengths = np.sqrt(np.einsum("ij,ij->i", directions, directions))
    directions /= lengths[:, None]
    review_length = np.sqrt(review @ review)
    review_direction = review / review_length
    cosines = directions @ review_direction
    sharpness = np.float32(config.sharpness)
    slopes = -1 / (1 + np.exp(-sharpness * cosines))
    slopes[:true] += 1
    slopes[true:] *= np.float32(config.random_pair_weight)
    slopes *= sharpness
    towards = slopes @ directions - (slopes @ cosines) * review_direction
    steps = config.ngram_rate * rate * slopes / lengths
    directions *= (lengths - steps * cosines)[:, None]
    directions += steps[:, None] * review_direction
    ngrams[pairs] = directions
    review += (config.review_rate * rate / (true * review_length)) * towards


def _first_vectors(
    counts: csr_array, once: csr_array, config: TeachersConfig, seed: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return unit vectors: of reviews, by latent semantic analysis; of n-grams, as their means."""
    from sklearn.utils.extmath import randomized_svd

    left, values, _ = randomized_svd(
        tf_idf(counts), config.vector_size, n_iter=config.svd_iterations, random_state=seed
    )
    reviews = left * np.sqrt(values)
    reviews -= reviews.mean(axis=0)
    return _unit(reviews), _unit(once.T @ reviews)


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: NDArray[np.float32] = np.ascontiguousarray(vectors / (lengths + 1e-6), np.float32)
    return unit
