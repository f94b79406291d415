"""What n-grams can learn from a large LSTM, which is too slow to score with.

``python -m benchmarks.distillation`` needs the IMDB data set and takes five minutes. It reads the
predictions of `lstm_teacher`, which come with the package, and writes JSON to
``build/distillation.json``; the documentation shows the copy in this folder.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from benchmarks.conditions import conditions
from benchmarks.table import markdown_table, progress
from imdb_classifier.config import PRODUCTION
from imdb_classifier.errors import BadDataError
from imdb_classifier.reviews.load import load_reviews
from imdb_classifier.schema import TEXT
from imdb_classifier.text.encoding import Vocabulary, encode
from imdb_classifier.text.ngrams import REVIEW_PARTS
from imdb_classifier.training.linear import fit_calibration
from imdb_classifier.training.ngram_models.ngram_counts import count_ngrams, present
from imdb_classifier.training.ngram_models.ngram_weights import regress_weights, strongest
from imdb_classifier.training.teachers import PREDICTIONS, targets_from

RESULT: Final = Path("build/distillation.json")


def measure() -> dict[str, Any]:
    """Fit n-gram weights to labels, and to the predictions of the teacher.

    Returns:
        measured (see `conditions.conditions`); attempts: what was fitted, with its accuracy and
        log loss on validation and on test reviews.

    Raises:
        BadDataError: The teacher's predictions belong to other reviews.
    """
    splits = [load_reviews(None, name) for name in ("train", "unsupervised", "test")]
    saved = np.load(PREDICTIONS)
    if [split.fingerprint for split in splits] != saved["data"].tolist():
        raise BadDataError(
            "The teacher's predictions must belong to the reviews.",
            "These are other reviews, or in another order.",
            "Choose the IMDB data set as Parquet files, as published on Hugging Face.",
        )
    train, unlabeled, test = splits
    learned = len(train) + len(unlabeled)
    texts = pa.concat_tables([split.table.select([TEXT]) for split in splits])[TEXT]
    encoding, config = PRODUCTION.encoding, PRODUCTION.teachers
    assert config is not None
    counted = Vocabulary.count(texts[:learned], encoding.text_form)
    sequences = encode(texts, counted.head(encoding.vocabulary_words), encoding)
    held = np.flatnonzero(saved["held"])
    labeled = np.flatnonzero(~saved["held"])
    rows = np.concatenate([labeled, np.arange(len(train), learned)])
    parts = [
        present(count_ngrams(sequences, rows, config.minimum_reviews, part)[1])
        for part in range(len(REVIEW_PARTS))
    ]
    roots = np.sqrt(sequences.lengths)
    taught = saved["log_odds"].astype(np.float32)
    known = np.concatenate([train.labels, unlabeled.labels])
    targets = targets_from(taught, known, rows, labeled, config, with_bias=True)
    attempts: list[dict[str, Any]] = []

    def record(name: str, log_odds: NDArray[np.floating[Any]]) -> None:
        scale, bias = fit_calibration(log_odds[held], train.labels[held], with_bias=True)
        row: dict[str, Any] = {"attempt": name}
        for split, found, labels in (
            ("validation", log_odds[held], train.labels[held]),
            ("test", log_odds[learned:], test.labels),
        ):
            signs = 2 * labels - 1
            loss = float(np.logaddexp(0, -signs * (scale * found + bias)).mean())
            row[f"{split}_accuracy"] = round(float((signs * found > 0).mean()), 5)
            row[f"{split}_log_loss"] = round(loss, 4)
        progress(**row)
        attempts.append(row)

    whole, lengths = parts[:1], sequences.lengths[rows]
    # Ratios that are all at their limit scale nothing.
    unscaled = replace(config, ratio_unit=1e-9, largest_ratio=1.0)
    record("the teacher", taught)
    given = [part[labeled] for part in whole], sequences.lengths[labeled]
    labels = train.labels[labeled].astype(np.float32)
    record("n-grams, from labels alone", whole[0] @ regress_weights(*given, labels, config) / roots)
    for name, used, settings in (
        ("n-grams, from the teacher, unscaled", whole, unscaled),
        ("n-grams, from the teacher, scaled by log count ratios", whole, config),
        ("... and those of the last 64, last 16 and first 32 tokens again", parts, config),
    ):
        weights = regress_weights([part[rows] for part in used], lengths, targets, settings)
        added = np.split(weights, np.cumsum([part.shape[1] for part in used])[:-1])
        record(name, sum(part @ each for part, each in zip(used, added, strict=True)) / roots)
    holding = np.concatenate([part[rows].sum(axis=0) for part in parts])
    none = np.empty(0, np.int64)
    kept = strongest(weights, holding, PRODUCTION.network.ngrams, none)
    most = np.zeros_like(weights)
    most[kept] = weights[kept]
    added = np.split(most, np.cumsum([part.shape[1] for part in parts])[:-1])
    log_odds = sum(part @ each for part, each in zip(parts, added, strict=True)) / roots
    record(f"the {len(kept):,} strongest of them", log_odds)
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


if __name__ == "__main__":
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(measure(), indent=2) + "\n", "utf-8")
    print(table(json.loads(RESULT.read_text("utf-8"))))
