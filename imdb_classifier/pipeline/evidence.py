"""What a model shows besides its figures: behavior, other texts, its parts, distinct reviews."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from imdb_classifier import samples
from imdb_classifier.evaluation.behavior.cases import load_suite, suite_fingerprint
from imdb_classifier.evaluation.behavior.judgment import Behavior, SuiteScores, judge, texts_of
from imdb_classifier.evaluation.comparison import compare
from imdb_classifier.evaluation.metrics import accuracy_and_log_loss, evaluate_kinds
from imdb_classifier.evaluation.result import Distinct, Figure, KindSlice, PartResult
from imdb_classifier.evaluation.slices import LEAST_ROWS, slices_by_content
from imdb_classifier.model.bundle import Bundle
from imdb_classifier.reviews.dataset import Reviews
from imdb_classifier.reviews.overlap import known_rows, repeated_rows
from imdb_classifier.schema import LABEL, TEXT
from imdb_classifier.scoring.scorer import CHUNK_ROWS, Scorer
from imdb_classifier.text.encoding import TokenSequences


def score_suite(scorer: Scorer) -> SuiteScores:
    """Score the texts of the behavior suite with a model."""
    texts = pa.chunked_array([pa.array(texts_of(load_suite()), pa.string())])
    learned = known_rows(pa.table({TEXT: texts}), scorer.bundle.learned)
    return SuiteScores(scorer.probabilities(texts).to_numpy(), learned)


def judge_suite(scores: SuiteScores) -> Behavior:
    """Return how a model does on the behavior suite, without texts that it was trained on."""
    return judge(load_suite(), suite_fingerprint(), scores)


def evaluate_sample(scorer: Scorer) -> tuple[KindSlice, ...]:
    """Evaluate a model on the kinds of text in the sample, without those it was trained on."""
    files = sorted(samples.FOLDER.glob("*.parquet"))
    texts = pa.concat_tables([pq.read_table(file) for file in files])
    texts = texts.filter(~known_rows(texts.select([TEXT]), scorer.bundle.learned))
    probabilities = scorer.probabilities(texts[TEXT]).to_numpy()
    return evaluate_kinds(texts[samples.KIND].to_pylist(), texts[LABEL].to_numpy(), probabilities)


def evaluate_parts(
    bundle: Bundle,
    labels: NDArray[np.int8],
    sequences: TokenSequences,
    probabilities: NDArray[np.float32],
    threads: int | None = None,
) -> tuple[PartResult, ...]:
    """Evaluate the n-grams of a model alone, its LSTM alone, and both.

    The network adds the log-odds of both parts, so each part's own are those that are left if the
    other one adds nothing. The bias belongs to the LSTM.

    Args:
        bundle: The model.
        labels: int8 (reviews,), 0 negative, 1 positive.
        sequences: The reviews, encoded and truncated as the model requires.
        probabilities: float32 (reviews,), of positive, by the model.
        threads: Number of threads, as for `Scorer`.

    Returns:
        One result for each part, then that of the model; empty if the model has no n-grams.
    """
    if bundle.ngrams is None:
        return ()
    with Scorer(bundle.without_ngrams(), threads) as lstm:
        by_part = {
            "n-grams alone": _of_ngrams(bundle, sequences),
            "LSTM alone": lstm.sequence_probabilities(sequences),
        }
    results = []
    for name, alone in by_part.items():
        beside = compare(name, labels, probabilities, alone)
        added = Figure(beside.difference, beside.low, beside.high)
        results.append(PartResult(name, *accuracy_and_log_loss(labels, alone), added))
    return (*results, PartResult("both", *accuracy_and_log_loss(labels, probabilities)))


def _of_ngrams(bundle: Bundle, sequences: TokenSequences) -> NDArray[np.float32]:
    """Return the probability of *positive* by the n-grams alone, float32 (reviews,)."""
    assert bundle.ngrams is not None
    rows = np.arange(len(sequences))
    log_odds = np.concatenate(
        [
            bundle.ngrams.log_odds(
                sequences.take(rows[begin : begin + CHUNK_ROWS]), bundle.ngram_log_odds
            )
            for begin in range(0, len(rows), CHUNK_ROWS)
        ]
    )
    probabilities: NDArray[np.float32] = (1 / (1 + np.exp(-log_odds))).astype(np.float32)
    return probabilities


def evaluate_slices(
    bundle: Bundle,
    labels: NDArray[np.int8],
    untruncated: TokenSequences,
    probabilities: NDArray[np.float32],
) -> tuple[KindSlice, ...]:
    """Evaluate a model on slices of the reviews by content that are large enough.

    Args:
        bundle: The model.
        labels: int8 (reviews,), 0 negative, 1 positive.
        untruncated: The reviews, encoded with the model's vocabulary and not truncated.
        probabilities: float32 (reviews,), of positive, by the model.
    """
    length = bundle.recipe.encoding.sequence_length
    slices = slices_by_content(untruncated, bundle.vocabulary, length)
    return tuple(
        KindSlice(
            name,
            int(rows.sum()),
            int(labels[rows].sum()),
            accuracy_and_log_loss(labels[rows], probabilities[rows])[0],
        )
        for name, rows in slices.items()
        if rows.sum() >= LEAST_ROWS
    )


def evaluate_distinct(
    reviews: Reviews, probabilities: NDArray[np.float32], learned: NDArray[np.bool_]
) -> Distinct | None:
    """Evaluate a model on reviews that it was not trained on, each one once.

    Args:
        reviews: The reviews.
        probabilities: float32 (reviews,), of positive, by the model.
        learned: bool (reviews,), whether the model was trained on the review, labeled or not.

    Returns:
        The result; None if fewer than two reviews are left.
    """
    repeated = repeated_rows(reviews.table)
    kept = ~(repeated | learned)
    if kept.sum() < 2:
        return None
    return Distinct(
        int(kept.sum()),
        int(repeated.sum()),
        int((learned & ~repeated).sum()),
        *accuracy_and_log_loss(reviews.labels[kept], probabilities[kept]),
    )
