"""The teachers: models whose predictions a network learns from besides labels.

A network that also learns their predictions for unlabeled reviews learns more than from the labels
alone (Bucila, Caruana and Niculescu-Mizil, 2006; Hinton, Vinyals and Dean, 2015).

For the IMDB reviews, predictions of a large LSTM come with the package, since it takes a GPU to
train; see ``benchmarks/lstm_teacher.py``. For other reviews, there are three teachers: two logistic
regressions on n-grams, and a model that gives each n-gram a weight of its own. They err on
different reviews, so the mean of their log-odds is better than the best of them. Document vectors
say more about a review than its label, and a network that must also predict them learns faster.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from imdb_classifier.config import TeachersConfig
from imdb_classifier.reviews.dataset import Reviews
from imdb_classifier.reviews.overlap import row_fingerprints
from imdb_classifier.storage import storage_of
from imdb_classifier.text.encoding import TokenSequences, Vocabulary
from imdb_classifier.text.ngrams import REVIEW_PARTS, Ngrams
from imdb_classifier.training.linear import fit_calibration
from imdb_classifier.training.ngram_models.document_vectors import train_document_vectors
from imdb_classifier.training.ngram_models.negation import negated_ngrams
from imdb_classifier.training.ngram_models.ngram_counts import (
    count_ngrams,
    log_count_ratios,
    log_ratio_log_odds,
    present,
    tf_idf_log_odds,
)
from imdb_classifier.training.ngram_models.ngram_weights import (
    regress_weights,
    strongest,
    weights_by_vectors,
)

if TYPE_CHECKING:
    from scipy.sparse import csr_array

PREDICTIONS: Final = Path(__file__).with_name("lstm_teacher.npz")

_NEGATED_SHARE: Final = 0.45
"""Share of a network's n-grams that negate an opinion, at most: the more there are, the fewer
others are left, and the lower is the accuracy on the IMDB reviews."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Predictions:
    """What a large LSTM says of the IMDB reviews.

    Attributes:
        log_odds: float32, (reviews,), of *positive*: of the train split, each by networks that did
            not learn its label, and then of the unsupervised split; not a number for reviews that
            are not IMDB's.
        held_out: bool, (rows of the train split,): reviews of IMDB whose labels no network has
            learned.
    """

    log_odds: NDArray[np.float32]
    held_out: NDArray[np.bool_]

    @classmethod
    def of(cls, reviews: Reviews, unlabeled: Reviews) -> Self | None:
        """Return the predictions for these reviews, in any order.

        Args:
            reviews: The train split, with or without others that were added.
            unlabeled: The unsupervised split.

        Returns:
            None unless all reviews of IMDB's train split are among the labeled ones, and the
            unlabeled ones are of IMDB.
        """
        with np.load(PREDICTIONS) as saved:
            held, known, prints = saved["held"], saved["log_odds"], saved["prints"]
        places = _places(row_fingerprints(reviews.table), prints[: len(held)])
        others = _places(row_fingerprints(unlabeled.table), prints[len(held) :])
        if len(np.unique(places[places >= 0])) < len(held) or (others < 0).any():
            return None
        of_train = np.where(places < 0, np.float32(np.nan), known[places].astype(np.float32))
        of_unlabeled = known[len(held) :][others].astype(np.float32)
        return cls(np.concatenate([of_train, of_unlabeled]), (places >= 0) & held[places])


def _places(prints: NDArray[np.uint64], known: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return where each fingerprint is among the known ones, and -1 if it is not.

    Of equal ones, the first is where the first is, and so on; the last place serves all others.
    """
    order, order_of_known = (np.argsort(each, kind="stable") for each in (prints, known))
    ascending, listed = prints[order], known[order_of_known]
    first = np.searchsorted(listed, ascending)
    turn = np.arange(len(prints)) - np.searchsorted(ascending, ascending)
    last = np.searchsorted(listed, ascending, side="right") - 1
    places = np.full(len(prints), -1)
    places[order] = np.where(last < first, -1, order_of_known[np.minimum(first + turn, last)])
    return places


@dataclass(frozen=True)
class Teaching:
    """The teachers' results.

    Attributes:
        targets: float32, (learned,), in [0, 1], probabilities of *positive* to learn.
        vectors: float32, (learned, vector_size), see `document_vectors.train_document_vectors`;
            None if the teacher is the large LSTM, which has none.
        ngrams: The n-grams with the strongest weights, see `ngram_weights.strongest`.
        ngram_weights: float32, (n-grams,), see `ngram_weights.regress_weights`.
    """

    targets: NDArray[np.float32]
    vectors: NDArray[np.float32] | None
    ngrams: Ngrams
    ngram_weights: NDArray[np.float32]


def teach(
    sequences: TokenSequences,
    vocabulary: Vocabulary,
    labels: NDArray[np.int8],
    learned_rows: NDArray[np.int64],
    validation_rows: NDArray[np.int64],
    config: TeachersConfig,
    ngrams: int,
    in_parts: bool,
    seed: int,
    folder: Path,
    predictions: Predictions | None = None,
    taught: Callable[[int, int], None] | None = None,
) -> Teaching:
    """Train the teachers, and return what they say of every review that the network learns.

    Results that take minutes are saved in `folder`, so an interrupted run resumes with the next
    one. Validation rows contribute only to the IDF weights; their labels are used to log the
    accuracy of each teacher and, unless there are `predictions`, to calibrate the mean.

    Args:
        sequences: The encoded reviews.
        vocabulary: The words that have their own id.
        labels: int8, (reviews,), 0 or 1, or -1 if unlabeled.
        learned_rows: The reviews to learn from, labeled and unlabeled.
        validation_rows: Other reviews, all labeled; at least one.
        config: The settings of the teachers.
        ngrams: Maximum number of n-grams that get a weight.
        in_parts: Whether they are n-grams of all `ngrams.REVIEW_PARTS`, or of whole reviews only.
        seed: Determines the document vectors.
        folder: Folder for the files of this run only, created if missing.
        predictions: Those of the large LSTM for these reviews; None to train the other teachers.
        taught: Called with the number of finished steps and of all steps.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # Besides the passes: counting, three teachers, and the weights of n-grams.
    steps = 2 if predictions else config.vector_passes + 5

    def finished(step: int) -> None:
        if taught is not None:
            taught(step, steps)

    def log_accuracy(name: str, log_odds: NDArray[np.floating[Any]]) -> None:
        rows = validation_rows[~np.isnan(log_odds[validation_rows])]
        share = ((log_odds > 0) == labels)[rows].mean()
        logger.info(
            "teachers: %s, accuracy %.2f %% on %d validation reviews",
            *(name, 100 * share, len(rows)),
        )

    finished(0)
    logger.info("teachers: counting n-grams in %d reviews", len(sequences))
    parts = range(len(REVIEW_PARTS) if in_parts else 1)
    found, counts = zip(
        *(count_ngrams(sequences, learned_rows, config.minimum_reviews, part) for part in parts),
        strict=True,
    )
    logger.info("teachers: %d n-grams in %d reviews", sum(map(len, found)), len(sequences))
    finished(1)
    vectors = None
    if predictions is not None:
        by_teachers = predictions.log_odds
        log_accuracy("predictions of a large LSTM", by_teachers)
    else:
        by_teachers, vectors = _train_teachers(
            sequences, labels, learned_rows, counts[0], config, seed, folder, finished, log_accuracy
        )
    # The large LSTM has learned no label of a review that it rates. The other teachers have, which
    # leaves the few reviews to validate with.
    many = predictions is not None
    unseen = learned_rows if many else validation_rows
    targets = targets_from(by_teachers, labels, learned_rows, unseen, config, with_bias=many)
    present_in = [present(counted[learned_rows]) for counted in counts]
    del counts  # as large as these
    weights = _cached(
        folder / "weights.npy",
        lambda: regress_weights(present_in, sequences.lengths[learned_rows], targets, config),
    )
    holding = np.concatenate(
        [np.bincount(once.indices, minlength=once.shape[1]) for once in present_in]
    )
    negated, added = negated_ngrams(
        vocabulary, found, weights, config, int(_NEGATED_SHARE * ngrams)
    )
    prints, places = np.unique(np.concatenate([*found, negated]), return_inverse=True)
    largest = np.abs(weights).max(initial=0)
    sums = np.bincount(places, np.append(weights, added)).clip(-largest, largest)
    holding = np.bincount(places[: len(holding)], holding, minlength=len(prints)).astype(np.int64)
    chosen = strongest(sums, holding, ngrams, certain=places[len(weights) :])
    kept = sums[chosen].astype(np.float32)
    strongest_ngrams = Ngrams(prints[chosen], in_parts)
    log_odds = strongest_ngrams.log_odds(sequences, np.append(0, kept))
    log_accuracy("n-grams of the network", log_odds)
    finished(steps)
    return Teaching(targets, vectors, strongest_ngrams, kept)


def targets_from(
    log_odds: NDArray[np.float32],
    labels: NDArray[np.int8],
    rows: NDArray[np.int64],
    unseen: NDArray[np.int64],
    config: TeachersConfig,
    with_bias: bool,
) -> NDArray[np.float32]:
    """Return the probabilities of *positive* that a network learns.

    Args:
        log_odds: float32, (reviews,), what a teacher says; not a number where it says nothing.
        labels: int8, (reviews,), 0 or 1, or -1 if unlabeled.
        rows: The reviews that the network learns.
        unseen: Reviews whose labels the teacher has not learned, to calibrate it on.
        config: The settings of the teachers.
        with_bias: Whether they are enough to fit a bias to, see `linear.fit_calibration`.

    Returns:
        float32, (rows,), in [0, 1]: between the label and the teacher's calibrated probability, or
        one of them where the other is missing.
    """
    rated = unseen[(labels[unseen] >= 0) & ~np.isnan(log_odds[unseen])]
    scale, bias = fit_calibration(log_odds[rated], labels[rated], with_bias)
    targets = 1 / (1 + np.exp(-(scale * log_odds[rows] + bias)))
    learned = labels[rows]
    labeled = learned >= 0
    targets[labeled] += config.label_share * (learned - targets)[labeled]
    return np.where(np.isnan(targets), learned, targets).astype(np.float32)


def _train_teachers(
    sequences: TokenSequences,
    labels: NDArray[np.int8],
    learned_rows: NDArray[np.int64],
    counts: csr_array,
    config: TeachersConfig,
    seed: int,
    folder: Path,
    finished: Callable[[int], None],
    log_accuracy: Callable[[str, NDArray[np.floating[Any]]], None],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the mean log-odds of three teachers: (reviews,); and the vectors of learned rows."""
    once = present(counts)
    learned, learned_labels = once[learned_rows], labels[learned_rows]
    labeled_rows = learned_rows[learned_labels >= 0]
    ratios = log_count_ratios(once, labels, labeled_rows, config.ratio_smoothing)

    def passed(number: int) -> None:
        logger.info("teachers: document vectors, pass %d/%d", number, config.vector_passes)
        finished(3 + number)

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
    vectors = _cached(
        folder / "document-vectors.npy",
        lambda: train_document_vectors(counts[learned_rows], ratios, config, seed, passed),
    )
    weights = _cached(
        folder / "weights-by-vectors.npy",
        lambda: weights_by_vectors(
            learned, sequences.lengths[learned_rows], learned_labels, ratios, vectors, config
        ),
    )
    by_weights = (once @ weights) / np.sqrt(sequences.lengths)
    log_accuracy("n-gram weights", by_weights)
    finished(config.vector_passes + 4)
    mean: NDArray[np.float32] = np.mean([by_ratios, by_tf_idf, by_weights], axis=0)
    log_accuracy("mean of all three", mean)
    return mean, vectors


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
