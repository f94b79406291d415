"""What n-grams can learn from a large LSTM, which is too slow to score with.

``python -m benchmarks.distillation`` needs the IMDB data set and takes five minutes. It reads the
predictions of `lstm_teacher` and writes JSON to ``build/distillation.json``; the documentation
shows the copy in this folder.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from benchmarks.conditions import conditions
from benchmarks.table import markdown_table, progress
from imdb_classifier.config import PRODUCTION
from imdb_classifier.errors import BadDataError
from imdb_classifier.reviews.load import load_reviews
from imdb_classifier.schema import TEXT
from imdb_classifier.text.encoding import TokenSequences, Vocabulary, encode
from imdb_classifier.text.ngrams import Ngrams
from imdb_classifier.training.linear import fit_temperature
from imdb_classifier.training.ngram_counts import count_ngrams, log_count_ratios, present
from imdb_classifier.training.ngram_weights import strongest

if TYPE_CHECKING:
    from scipy.sparse import csr_array

RESULT: Final = Path("build/distillation.json")
TEACHER: Final = Path(__file__).with_name("lstm_teacher.npz")
MINIMUM_REVIEWS: Final = 6
SMOOTHING: Final = 1.0
LABEL_SHARE: Final = 0.5
"""Share of a label, where there is one, in the target; the rest is the teacher's prediction."""
PENALTY: Final = 3e-7
ITERATIONS: Final = 120
PART_WEIGHT: Final = 0.3
"""Scale of n-grams that are looked for in one part of a review only."""
RATIO_UNIT, LARGEST_SCALE = 0.5, 4.0
"""Weights are scaled by log count ratios in this unit, and by no more than this."""


def measure() -> dict[str, Any]:
    """Fit n-gram weights to labels, and to the predictions of the teacher.

    Returns:
        measured (see `conditions.conditions`); attempts: what was fitted, with its accuracy and
        log loss on validation and on test reviews.

    Raises:
        BadDataError: The teacher's predictions belong to other reviews.
    """
    parts = [load_reviews(None, name) for name in ("train", "unsupervised", "test")]
    saved = np.load(TEACHER)
    if [part.fingerprint for part in parts] != saved["data"].tolist():
        raise BadDataError(
            "The teacher's predictions must belong to the reviews.",
            "These are other reviews, or in another order.",
            "Choose the IMDB data set as Parquet files, as published on Hugging Face.",
        )
    train, unlabeled, test = parts
    learned = len(train) + len(unlabeled)
    texts = pa.concat_tables([part.table.select([TEXT]) for part in parts])[TEXT]
    encoding = PRODUCTION.encoding
    counted = Vocabulary.count(texts[:learned], encoding.text_form)
    vocabulary = counted.head(encoding.vocabulary_words)
    sequences = encode(texts, vocabulary, encoding)
    held = np.flatnonzero(saved["held"])
    labeled = np.flatnonzero(~saved["held"])
    rows = np.concatenate([labeled, np.arange(len(train), learned)])
    ngrams, counts = count_ngrams(sequences, rows, MINIMUM_REVIEWS)
    once = present(counts)
    taught = saved["log_odds"].astype(np.float32)
    targets = 1 / (1 + np.exp(-taught))
    targets[labeled] += LABEL_SHARE * (train.labels[labeled] - targets[labeled])
    hard = np.concatenate([train.labels, np.zeros(len(texts) - len(train))]).astype(np.float32)
    attempts: list[dict[str, Any]] = []

    def record(name: str, log_odds: NDArray[np.floating[Any]]) -> None:
        temperature = fit_temperature(log_odds[held], train.labels[held])
        row: dict[str, Any] = {"attempt": name}
        for split, found, labels in (
            ("validation", log_odds[held], train.labels[held]),
            ("test", log_odds[learned:], test.labels),
        ):
            signed = np.where(labels == 1, found, -found)
            loss = float(np.logaddexp(0, -signed / temperature).mean())
            row[f"{split}_accuracy"] = round(float((signed > 0).mean()), 5)
            row[f"{split}_log_loss"] = round(loss, 4)
        progress(**row)
        attempts.append(row)

    whole = _scaled(once, sequences.lengths)
    flat, ratios = np.ones(len(ngrams), np.float32), _ratio_scale(once, targets, rows)
    record("the teacher", taught)
    record("n-grams, from labels alone", whole @ _fit(
        whole, hard, labeled, _ratio_scale(once, hard, labeled)
    ))  # fmt: skip
    record("n-grams, from the teacher, unscaled", whole @ _fit(whole, targets, rows, flat))
    weights = _fit(whole, targets, rows, ratios)
    record("n-grams, from the teacher, scaled by log count ratios", whole @ weights)
    most = strongest(weights, np.bincount(once[rows].indices), PRODUCTION.network.ngrams)
    record(f"the {len(most):,} strongest of them", whole[:, most] @ weights[most])
    named = [
        (_contained(ngrams, sequences.tails(64)), 64),
        (_contained(ngrams, sequences.tails(16)), 16),
        (_contained(ngrams, _heads(sequences, 32)), 32),
    ]
    from scipy.sparse import hstack

    positions = hstack([whole, *(_scaled(held_in, size) for held_in, size in named)]).tocsr()
    scale = np.concatenate(
        [ratios, *(PART_WEIGHT * _ratio_scale(held_in, targets, rows) for held_in, _ in named)]
    )
    record(
        "... and those of the last 64, last 16 and first 32 tokens again",
        positions @ _fit(positions, targets, rows, scale),
    )
    return {"measured": conditions(), "attempts": attempts}


def table(results: Mapping[str, Any]) -> str:
    """Return the attempts as a Markdown table."""
    return markdown_table(
        [
            {
                "what is fitted": row["attempt"],
                "validation accuracy": f"{100 * row['validation_accuracy']:.2f} %",
                "validation log loss": f"{row['validation_log_loss']:.4f}",
                "test accuracy": f"{100 * row['test_accuracy']:.2f} %",
                "test log loss": f"{row['test_log_loss']:.4f}",
            }
            for row in results["attempts"]
        ]
    )


def _ratio_scale(
    once: csr_array, targets: NDArray[np.float32], rows: NDArray[np.int64]
) -> NDArray[np.float32]:
    ratios = np.abs(log_count_ratios(once, targets, rows, SMOOTHING))
    return np.minimum(ratios / np.float32(RATIO_UNIT), np.float32(LARGEST_SCALE))


def _scaled(once: csr_array, lengths: NDArray[np.int64] | int) -> csr_array:
    """Divide what a review contains by the square root of its number of tokens."""
    roots = np.sqrt(np.broadcast_to(lengths, once.shape[0])).astype(np.float32)
    return once.multiply(1 / roots[:, None]).tocsr()


def _contained(ngrams: Ngrams, sequences: TokenSequences) -> csr_array:
    from scipy.sparse import csr_array

    ids, reviews = ngrams.held_by(sequences)
    ones = np.ones(len(ids), np.float32)
    return csr_array((ones, (reviews, ids - 1)), (len(sequences), len(ngrams)))


def _heads(sequences: TokenSequences, length: int) -> TokenSequences:
    kept = np.minimum(sequences.lengths, length)
    offsets = np.concatenate([[0], np.cumsum(kept)])
    positions = np.arange(offsets[-1]) + np.repeat(sequences.offsets[:-1] - offsets[:-1], kept)
    return TokenSequences(sequences.ids[positions], offsets)


def _fit(
    features: csr_array,
    targets: NDArray[np.float32],
    rows: NDArray[np.int64],
    scale: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Return the weights of a logistic regression on probabilities; a larger scale costs less."""
    from scipy.optimize import minimize

    chosen, wanted = features[rows], targets[rows]
    transposed = chosen.T.tocsr()

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        log_odds = (chosen @ (scale * weights).astype(np.float32)).astype(np.float64)
        misses = (1 / (1 + np.exp(-log_odds)) - wanted) / len(wanted)
        slopes = scale * (transposed @ misses.astype(np.float32)) + PENALTY * weights
        mean = float((np.logaddexp(0, log_odds) - wanted * log_odds).mean())
        return mean + PENALTY / 2 * float(weights @ weights), slopes.astype(np.float64)

    start, options = np.zeros(features.shape[1]), {"maxiter": ITERATIONS}
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options=options)
    fitted: NDArray[np.float32] = (scale * found.x).astype(np.float32)
    return fitted


if __name__ == "__main__":
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(measure(), indent=2) + "\n", "utf-8")
    print(table(json.loads(RESULT.read_text("utf-8"))))
