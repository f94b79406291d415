"""The teachers: models whose predictions a network learns from besides labels.

Two of the teachers are logistic regressions on n-grams; the third gives each n-gram a weight of its
own. They err on different reviews, so the mean of their log-odds is better than the best of them. A
network that also learns their predictions for the 50,000 unlabeled reviews learns more than from
the labels alone (Bucila, Caruana and Niculescu-Mizil, 2006; Hinton, Vinyals and Dean, 2015).
Document vectors say more about a review than its label, and a network that must also predict them
learns faster.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from imdb_classifier.config import TeachersConfig
from imdb_classifier.storage import storage_of
from imdb_classifier.text.encoding import TokenSequences
from imdb_classifier.text.ngrams import Ngrams
from imdb_classifier.training.document_vectors import train_document_vectors
from imdb_classifier.training.linear import fit_temperature
from imdb_classifier.training.ngram_counts import (
    count_ngrams,
    log_count_ratios,
    log_ratio_log_odds,
    present,
    tf_idf_log_odds,
)
from imdb_classifier.training.ngram_weights import learn_ngram_weights, strongest

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Teaching:
    """The teachers' results.

    Attributes:
        probabilities: float32, (learned,), in [0, 1], of *positive*, by the mean of the teachers.
        vectors: float32, (learned, vector_size), see `document_vectors.train_document_vectors`.
        ngrams: The n-grams with the strongest weights, see `ngram_weights.strongest`.
        ngram_weights: float32, (n-grams,), see `ngram_weights.learn_ngram_weights`.
    """

    probabilities: NDArray[np.float32]
    vectors: NDArray[np.float32]
    ngrams: Ngrams
    ngram_weights: NDArray[np.float32]


def teach(
    sequences: TokenSequences,
    labels: NDArray[np.int8],
    learned_rows: NDArray[np.int64],
    validation_rows: NDArray[np.int64],
    config: TeachersConfig,
    ngrams: int,
    seed: int,
    folder: Path,
    taught: Callable[[int, int], None] | None = None,
) -> Teaching:
    """Train the teachers, and return their predictions for every review that the network learns.

    Results that take minutes are saved in `folder`, so an interrupted run resumes with the next
    one. Validation rows contribute only to the IDF weights; their labels are used to log the
    accuracy of each teacher and to fit one number, the temperature of the mean (Guo et al., 2017).

    Args:
        sequences: The encoded reviews.
        labels: int8, (reviews,), 0 or 1, or -1 if unlabeled.
        learned_rows: The reviews to learn from, labeled and unlabeled.
        validation_rows: Other reviews, all labeled; at least one.
        config: The settings of the teachers.
        ngrams: Maximum number of n-grams that get a weight.
        seed: Determines the document vectors.
        folder: Folder for the files of this run only, created if missing.
        taught: Called with the number of finished steps and of all steps.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # Besides the passes: counting, and three teachers.
    steps = config.vector_passes + 4

    def finished(step: int) -> None:
        if taught is not None:
            taught(step, steps)

    finished(0)
    logger.info("teachers: counting n-grams in %d reviews", len(sequences))
    found, counts = count_ngrams(sequences, learned_rows, config.minimum_reviews)
    once = present(counts)
    logger.info("teachers: %d n-grams in %d reviews", counts.shape[1], counts.shape[0])
    learned, learned_labels = once[learned_rows], labels[learned_rows]
    labeled_rows = learned_rows[learned_labels >= 0]
    ratios = log_count_ratios(once, labels, labeled_rows, config.ratio_smoothing)

    def passed(number: int) -> None:
        logger.info("teachers: document vectors, pass %d/%d", number, config.vector_passes)
        finished(3 + number)

    def to_vectors() -> NDArray[np.float32]:
        return train_document_vectors(counts[learned_rows], ratios, config, seed, passed)

    def log_accuracy(name: str, log_odds: NDArray[np.float32]) -> None:
        share = ((log_odds > 0) == labels)[validation_rows].mean()
        logger.info(
            "teachers: %s, accuracy %.2f %% on %d validation reviews",
            *(name, 100 * share, len(validation_rows)),
        )

    finished(1)
    by_ratios = _cached(
        folder / "log-count-ratios.npy",
        lambda: log_ratio_log_odds(once, labels, labeled_rows, config),
    )
    log_accuracy("log count ratios", by_ratios)
    finished(2)
    by_tf_idf = _cached(
        folder / "tf-idf.npy", lambda: tf_idf_log_odds(counts, labels, labeled_rows, config)
    )
    log_accuracy("TF-IDF", by_tf_idf)
    finished(3)
    vectors = _cached(folder / "document-vectors.npy", to_vectors)
    weights = _cached(
        folder / "ngram-weights.npy",
        lambda: learn_ngram_weights(
            learned, sequences.lengths[learned_rows], learned_labels, ratios, vectors, config
        ),
    )
    by_weights = (once @ weights) / np.sqrt(sequences.lengths)
    log_accuracy("n-gram weights", by_weights)
    finished(steps)
    mean = np.mean([by_ratios, by_tf_idf, by_weights], axis=0)
    log_accuracy("mean of all three", mean)
    temperature = fit_temperature(mean[validation_rows], labels[validation_rows])
    probabilities = (1 / (1 + np.exp(-mean[learned_rows] / temperature))).astype(np.float32)
    chosen = strongest(weights, np.bincount(learned.indices), ngrams)
    return Teaching(probabilities, vectors, Ngrams(found.listed[chosen]), weights[chosen])


def _cached(file: Path, compute: Callable[[], NDArray[np.float32]]) -> NDArray[np.float32]:
    """Return the array in the file; compute and save it if there is none, or a damaged one."""
    if file.exists():
        try:
            saved: NDArray[np.float32] = np.load(file)
        except (OSError, ValueError, EOFError) as error:
            logger.warning(
                "teachers: %s is skipped: it is damaged (%s)", file.name, type(error).__name__
            )
        else:
            return saved
    array = compute()
    with (
        storage_of(str(file)).writing(str(file)) as unfinished,
        Path(unfinished).open("wb") as stream,
    ):
        np.save(stream, array)
    return array
