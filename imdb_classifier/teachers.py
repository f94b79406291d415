"""Soft labels for reviews without a label, by three models that a network can learn from.

Two are logistic regressions on n-grams, one a logistic regression on document vectors. They err on
different reviews, so that the mean of their log-odds is better than the best of them, and a network
that is taught on 50,000 more reviews this way learns more than from the labels alone (Bucila,
Caruana and Niculescu-Mizil, 2006; Hinton, Vinyals and Dean, 2015).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from imdb_classifier.config import TeachersConfig
from imdb_classifier.document_vectors import document_vectors
from imdb_classifier.encoding import TokenSequences
from imdb_classifier.linear import fit_log_odds, fit_temperature
from imdb_classifier.ngrams import (
    count_ngrams,
    log_count_ratios,
    log_ratio_log_odds,
    present,
    tf_idf_log_odds,
)

logger = logging.getLogger(__name__)

_VECTORS_C = 0.03
_NAMES = ("log count ratios", "TF-IDF", "document vectors")


def soft_labels(
    sequences: TokenSequences,
    labels: NDArray[np.int8],
    training_rows: NDArray[np.int64],
    validation_rows: NDArray[np.int64],
    config: TeachersConfig,
    seed: int,
    folder: Path,
) -> NDArray[np.float32]:
    """The probability of positive of each review, by the mean of three teachers.

    What each teacher found is kept in `folder`, so that a run that was killed starts with the next
    one. Labels are looked at in the training rows; in the validation rows only to say how often
    each teacher is right and to fit one number, the temperature of the mean (Guo et al., 2017).

    Args:
        sequences: Whole reviews, labelled ones and others, in a vocabulary of all their words.
        labels: int8, (reviews,), 0 or 1, or -1 where there is none.
        training_rows: The reviews to learn from.
        validation_rows: At least one.
        config: How large the document vectors are, and the like.
        seed: Decides the document vectors.
        folder: For this run's files and no other's, made if missing.

    Returns:
        float32, (reviews,), in [0, 1].
    """
    folder.mkdir(parents=True, exist_ok=True)
    counts = count_ngrams(sequences, config.minimum_reviews)
    once = present(counts)
    logger.info("teachers: %d n-grams in %d reviews", counts.shape[1], counts.shape[0])

    def by_vectors() -> NDArray[np.float32]:
        vectors = document_vectors(
            counts,
            log_count_ratios(once, labels, training_rows),
            config.vector_size,
            config.vector_passes,
            seed,
            lambda number: logger.info(
                "teachers: document vectors, pass %d/%d", number, config.vector_passes
            ),
        )
        return fit_log_odds(vectors, labels, training_rows, _VECTORS_C)

    ways = (
        lambda: log_ratio_log_odds(once, labels, training_rows),
        lambda: tf_idf_log_odds(counts, labels, training_rows),
        by_vectors,
    )
    log_odds = []
    for name, way in zip(_NAMES, ways, strict=True):
        found = _kept(folder / f"{name.replace(' ', '-').lower()}.npy", way)
        log_odds.append(found)
        logger.info("teachers: %s, %s", name, _right(found, labels, validation_rows))
    mean = np.mean(log_odds, axis=0)
    logger.info("teachers: their mean, %s", _right(mean, labels, validation_rows))
    temperature = fit_temperature(mean[validation_rows], labels[validation_rows])
    probabilities: NDArray[np.float32] = (1 / (1 + np.exp(-mean / temperature))).astype(np.float32)
    return probabilities


def _kept(file: Path, way: Callable[[], NDArray[np.float32]]) -> NDArray[np.float32]:
    """What the file holds, or else what the way gives, which the file holds from now on."""
    if not file.exists():
        unfinished = file.with_suffix(".unfinished.npy")
        np.save(unfinished, way())
        unfinished.rename(file)
    kept: NDArray[np.float32] = np.load(file)
    return kept


def _right(log_odds: NDArray[np.float32], labels: NDArray[np.int8], rows: NDArray[np.int64]) -> str:
    share = ((log_odds[rows] > 0) == labels[rows]).mean()
    return f"right in {share:.2%} of {len(rows):,} validation reviews"
