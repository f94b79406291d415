"""What a network learns from besides labels: what other models make of every review.

Two are logistic regressions on n-grams, one a logistic regression on document vectors, the others
language models that learned to tell sentiment. They err on different reviews, so that the mean of
their log-odds is better than the best of them, and a network that is taught on 50,000 more reviews
this way learns more than from the labels alone (Bucila, Caruana and Niculescu-Mizil, 2006; Hinton,
Vinyals and Dean, 2015). The document vectors say more of a review than its label does, and a
network learns faster that has to give them too.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from imdb_classifier.config import EncodingConfig, TeachersConfig
from imdb_classifier.document_vectors import document_vectors
from imdb_classifier.encoding import TokenSequences, cap
from imdb_classifier.language_model import language_model_log_odds
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


@dataclass(frozen=True)
class Teaching:
    """What teachers make of reviews.

    Attributes:
        probabilities: Of positive, by the mean of the teachers: float32, (reviews,), in [0, 1].
        vectors: float32, (reviews, vector_size), see `document_vectors.document_vectors`.
    """

    probabilities: NDArray[np.float32]
    vectors: NDArray[np.float32]


def teach(
    sequences: TokenSequences,
    labels: NDArray[np.int8],
    training_rows: NDArray[np.int64],
    validation_rows: NDArray[np.int64],
    config: TeachersConfig,
    seed: int,
    folder: Path,
    readings: Path,
) -> Teaching:
    """Train teachers, and ask them about every review.

    What each teacher found is kept in `folder`, so that a run that was killed starts with the next
    one. Labels are looked at in the training rows; in the validation rows only to say how often
    each teacher is right and to fit one number, the temperature of the mean (Guo et al., 2017).

    Args:
        sequences: Whole reviews, labelled ones and others, in a vocabulary of all their words.
        labels: int8, (reviews,), 0 or 1, or -1 where there is none.
        training_rows: The reviews to learn from.
        validation_rows: At least one.
        config: How large the document vectors are, and the like.
        seed: Decides the document vectors, and how language models learn of the labels.
        folder: For this run's files and no other's, made if missing.
        readings: Keeps what language models learn without labels, for other runs too.
    """
    folder.mkdir(parents=True, exist_ok=True)
    counts = count_ngrams(sequences, config.minimum_reviews)
    once = present(counts)
    logger.info("teachers: %d n-grams in %d reviews", counts.shape[1], counts.shape[0])

    def to_vectors() -> NDArray[np.float32]:
        return document_vectors(
            counts,
            log_count_ratios(once, labels, training_rows),
            config.vector_size,
            config.vector_passes,
            seed,
            lambda number: logger.info(
                "teachers: document vectors, pass %d/%d", number, config.vector_passes
            ),
        )

    def learned(name: str, log_odds: NDArray[np.float32]) -> NDArray[np.float32]:
        share = ((log_odds > 0) == labels)[validation_rows].mean()
        logger.info(
            "teachers: %s, right in %.2f %% of %d validation reviews",
            *(name, 100 * share, len(validation_rows)),
        )
        return log_odds

    by_ratios = _kept(
        folder / "log-count-ratios.npy", lambda: log_ratio_log_odds(once, labels, training_rows)
    )
    learned("log count ratios", by_ratios)
    by_tf_idf = _kept(folder / "tf-idf.npy", lambda: tf_idf_log_odds(counts, labels, training_rows))
    learned("TF-IDF", by_tf_idf)
    vectors = _kept(folder / "document-vectors.npy", to_vectors)
    by_vectors = learned(
        "document vectors", fit_log_odds(vectors, labels, training_rows, _VECTORS_C)
    )
    by_reading = []
    for model in config.language_models:
        direction = "backwards" if model.backwards else "forwards"
        read = cap(sequences, EncodingConfig(model.num_words, model.sequence_length))
        log_odds = _kept(
            folder / f"language-model-{direction}.npy",
            partial(
                language_model_log_odds,
                *(read, labels, training_rows, model, seed, readings),
                folder / f"telling-{direction}.npz",
            ),
        )
        by_reading.append(learned(f"language model, {direction}", log_odds))
    mean = learned("their mean", np.mean([by_ratios, by_tf_idf, by_vectors, *by_reading], axis=0))
    temperature = fit_temperature(mean[validation_rows], labels[validation_rows])
    return Teaching((1 / (1 + np.exp(-mean / temperature))).astype(np.float32), vectors)


def _kept(file: Path, way: Callable[[], NDArray[np.float32]]) -> NDArray[np.float32]:
    """What the file holds, or else what the way gives, which the file holds from now on."""
    if not file.exists():
        unfinished = file.with_suffix(".unfinished.npy")
        np.save(unfinished, way())
        unfinished.rename(file)
    kept: NDArray[np.float32] = np.load(file)
    return kept
