"""The first steps of recipe `production`, with small settings, on real reviews."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from imdb_classifier.config import PRODUCTION, TeachersConfig
from imdb_classifier.pipeline.train import plan_training
from imdb_classifier.registry.versions import Registry
from imdb_classifier.reviews.dataset import Reviews
from imdb_classifier.reviews.load import load_reviews
from imdb_classifier.training.data import split
from imdb_classifier.training.loop import train

ROWS = 3_000
SMALL = replace(
    PRODUCTION,
    encoding=replace(PRODUCTION.encoding, num_words=5_000, sequence_length=100),
    network=replace(PRODUCTION.network, embedding_dim=16, lstm_units=16, ngrams=10_000),
    training=replace(
        PRODUCTION.training,
        epochs=3,
        batch_size=32,
        learning_rate=0.01,
        warm_up_steps=20,
        averaging=0.9,
    ),
    teachers=TeachersConfig(6, vector_size=32, vector_passes=4, vector_weight=0.5),
)


def some(split_name: str) -> Reviews:
    reviews = load_reviews(None, split_name)  # type: ignore[arg-type]
    rows = np.sort(np.random.default_rng(1).permutation(len(reviews))[:ROWS])
    table = reviews.table.take(pa.array(rows))
    return replace(reviews, table=table, fingerprint=f"{ROWS} of {reviews.fingerprint}")


def test_teachers_and_network_learn(tmp_path: Path) -> None:
    train_reviews = some("train")
    trained = train(train_reviews, SMALL, 1, tmp_path, unlabeled=some("unsupervised"))
    _, validation_rows = split(train_reviews, SMALL, 1)
    labels = train_reviews.labels[validation_rows]
    for name in ("log-count-ratios", "tf-idf"):
        log_odds = np.load(tmp_path / "teachers" / f"{name}.npy")
        assert len(log_odds) == 2 * ROWS
        assert ((log_odds[validation_rows] > 0) == labels).mean() > 0.8
    last = trained.history[-1]
    assert last.val_accuracy is not None
    assert last.val_accuracy > 0.75


def test_the_bundled_model_is_what_todays_recipe_makes_of_these_reviews(tmp_path: Path) -> None:
    registry = Registry.at(tmp_path)
    bundled = registry.load("@champion").model_id
    assert plan_training(None, "production", 1, registry).trained == bundled
    assert plan_training(None, "production", 2, registry).trained is None
