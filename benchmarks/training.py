"""Training on padded arrays compared with bucketed batches: same network, split and seed.

``python -m benchmarks.training SEED...`` needs the IMDB data set. With each seed, it trains recipe
``seed``, but with masked padding, twice: by Keras' `fit` on arrays padded to 500 tokens, and by
`training.loop.train`.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np

from benchmarks.table import markdown_table, progress
from imdb_classifier.config import SEED, Recipe
from imdb_classifier.model.keras_backend import import_keras
from imdb_classifier.model.network import build_network
from imdb_classifier.reviews.dataset import Reviews
from imdb_classifier.reviews.load import load_reviews
from imdb_classifier.text.batching import pad_right
from imdb_classifier.text.encoding import encode_reviews
from imdb_classifier.training.data import split, vocabulary_of
from imdb_classifier.training.loop import train

MASKED = replace(SEED, name="masked", network=replace(SEED.network, masked=True))


def main(seeds: tuple[int, ...]) -> None:
    """Train both ways with each seed; print JSON, then a Markdown table."""
    reviews = load_reviews(None, "train")
    rows: list[dict[str, Any]] = []
    for seed in seeds:
        for way, run in (("padded", _padded), ("bucketed", _bucketed)):
            for epoch, (seconds, accuracy) in enumerate(run(reviews, MASKED, seed), start=1):
                rows.append(
                    {
                        "way": way,
                        "seed": seed,
                        "epoch": epoch,
                        "seconds": round(seconds, 1),
                        "val_accuracy": round(accuracy, 4),
                    }
                )
                progress(**rows[-1])

    def figures(way: str, column: str) -> list[float]:
        # The first epoch is left out because it includes tracing the graph.
        return [row[column] for row in rows if row["way"] == way and row["epoch"] > 1]

    last = MASKED.training.epochs
    summary = [
        {
            "way": way,
            "seconds per epoch": round(mean(figures(way, "seconds")), 1),
            "speed-up": round(
                mean(figures("padded", "seconds")) / mean(figures(way, "seconds")), 2
            ),
            "validation accuracy, mean": round(mean(accuracies), 4),
            "lowest": min(accuracies),
            "highest": max(accuracies),
        }
        for way in ("padded", "bucketed")
        for accuracies in [
            [row["val_accuracy"] for row in rows if row["way"] == way and row["epoch"] == last]
        ]
    ]
    print(json.dumps({"recipe": MASKED.to_dict(), "epochs": rows, "summary": summary}, indent=2))
    print("\n" + markdown_table(summary))


def _padded(reviews: Reviews, recipe: Recipe, seed: int) -> list[tuple[float, float]]:
    """Train as the tutorial does; return seconds and validation accuracy of each epoch."""
    keras = import_keras()
    keras.utils.set_random_seed(seed)  # determines the order of `fit`
    sequences = encode_reviews(reviews.table, vocabulary_of(reviews, recipe), recipe.encoding)
    # The longest review has 500 tokens, so this is the tutorial's width.
    padded, labels = pad_right(sequences), reviews.labels.astype(np.float32)[:, None]
    training, validation = split(reviews, recipe, seed)
    model = build_network(recipe.encoding, recipe.network, seed)
    model.compile(
        optimizer=keras.optimizers.Adam(recipe.training.learning_rate),
        loss="binary_crossentropy",
        metrics=["accuracy"],
    )
    epochs = []
    for _ in range(recipe.training.epochs):
        started = time.perf_counter()
        history = model.fit(
            padded[training],
            labels[training],
            batch_size=recipe.training.batch_size,
            validation_data=(padded[validation], labels[validation]),
            validation_batch_size=256,
            verbose=0,
        ).history
        epochs.append((time.perf_counter() - started, history["val_accuracy"][0]))
    return epochs


def _bucketed(reviews: Reviews, recipe: Recipe, seed: int) -> list[tuple[float, float]]:
    """Train with `training.loop.train`; return seconds and validation accuracy of each epoch."""
    with tempfile.TemporaryDirectory() as folder:
        history = train(reviews, recipe, seed, Path(folder) / "checkpoints").history
    return [
        (epoch.seconds, epoch.val_accuracy) for epoch in history if epoch.val_accuracy is not None
    ]


if __name__ == "__main__":
    main(tuple(int(seed) for seed in sys.argv[1:]) or (1,))
