"""How much the accuracy of a recipe depends on the seed.

``python -m benchmarks.seeds`` needs the IMDB data set and trains five models of recipe ``seed``,
the Keras tutorial's network, which takes a few minutes each; ``python -m benchmarks.seeds
production`` trains three of that recipe. Models that already exist are reused. JSON is written to
``build/seeds.json`` or ``build/production_seeds.json``; the documentation shows the copies in this
folder.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from statistics import mean
from typing import Any

from benchmarks.conditions import conditions
from benchmarks.contenders import MODELS
from benchmarks.table import markdown_table, progress
from imdb_classifier.config import PRODUCTION, RECIPES, SEED, Recipe
from imdb_classifier.pipeline.train import train_bundle
from imdb_classifier.reviews.load import load_reviews
from imdb_classifier.schema import THRESHOLD
from imdb_classifier.text.encoding import encode_reviews

SEEDS = {SEED: (1, 2, 3, 4, 5), PRODUCTION: (1, 2, 3)}
RESULTS = {SEED: Path("build/seeds.json"), PRODUCTION: Path("build/production_seeds.json")}


def measure(recipe: Recipe) -> dict[str, Any]:
    """Train with each seed of `SEEDS` and label the IMDB test split.

    Returns:
        measured (see `conditions.conditions`) and recipe; seeds (seed, model_id, accuracy on the
        test split, val_accuracy of the last epoch, by the LSTM alone if the network has n-grams)
        and mean (of the test accuracies).
    """
    test = load_reviews(None, "test")
    rows: list[dict[str, Any]] = []
    for seed in SEEDS[recipe]:
        bundle = train_bundle(None, recipe.name, seed, MODELS)
        sequences = encode_reviews(test.table, bundle.vocabulary, bundle.recipe.encoding)
        positive = bundle.engine.probabilities(sequences) >= THRESHOLD
        row = {
            "seed": seed,
            "model_id": bundle.model_id,
            "accuracy": float((positive == (test.labels == 1)).mean()),
            "val_accuracy": round(bundle.manifest["history"][-1]["val_accuracy"], 4),
        }
        progress(**row)
        rows.append(row)
    return {
        "measured": conditions(),
        "recipe": recipe.name,
        "seeds": rows,
        "mean": round(mean(row["accuracy"] for row in rows), 4),
    }


def table(results: dict[str, Any]) -> str:
    """Return the seeds and their mean as a Markdown table."""
    rows = [
        {
            "seed": row["seed"],
            "test accuracy": f"{100 * row['accuracy']:.2f} %",
            "validation accuracy": f"{100 * row['val_accuracy']:.2f} %",
        }
        for row in results["seeds"]
    ]
    return markdown_table(
        [
            *rows,
            {
                "seed": "mean",
                "test accuracy": f"{100 * results['mean']:.2f} %",
                "validation accuracy": "",
            },
        ]
    )


if __name__ == "__main__":
    chosen = RECIPES[sys.argv[1]] if len(sys.argv) > 1 else SEED
    results = measure(chosen)
    RESULTS[chosen].parent.mkdir(exist_ok=True)
    RESULTS[chosen].write_text(json.dumps(results, indent=2) + "\n", "utf-8")
    print(table(results))
