"""What each part of the bundled model contributes, and how clean its test split is.

``python -m benchmarks.ablation`` needs the IMDB data set and takes a minute. It writes JSON to
``build/ablation.json``; the documentation shows the copy in this folder.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from benchmarks.conditions import conditions
from benchmarks.table import markdown_table
from imdb_classifier.evaluation.comparison import compare
from imdb_classifier.evaluation.intervals import wilson
from imdb_classifier.model.bundle import ONNX_FILE, Bundle, load_bundle
from imdb_classifier.model.engines.compiled_engine import CompiledEngine
from imdb_classifier.model.onnx_reader import weights_of
from imdb_classifier.registry.versions import bundled_path
from imdb_classifier.reviews.load import load_reviews
from imdb_classifier.reviews.overlap import fingerprints_of, known_rows
from imdb_classifier.schema import TEXT, THRESHOLD
from imdb_classifier.text.encoding import encode

RESULT = Path("build/ablation.json")
NGRAMS, LSTM, BOTH = "n-grams alone", "LSTM alone", "both"


def measure() -> dict[str, Any]:
    """Score the IMDB test split with each part of the bundled model.

    Returns:
        measured (see `conditions.conditions`), model_id and rows; parts (by name: right and
        accuracy with its 95 % interval, and accuracy_unseen: on the test reviews whose text is in
        no other split); against_ngrams (better, worse and McNemar's p_value of both parts against
        n-grams alone); overlap (number of test reviews whose text is also in train, in
        unsupervised, in either).
    """
    bundle = load_bundle(bundled_path())
    test = load_reviews(None, "test")
    seen = {
        split: known_rows(test.table, fingerprints_of([load_reviews(None, split).table]))
        for split in ("train", "unsupervised")
    }
    in_either = np.logical_or(*seen.values())
    probabilities = _probabilities(bundle, test.table[TEXT])
    right = {
        name: (found >= THRESHOLD) == (test.labels == 1) for name, found in probabilities.items()
    }
    paired = compare("test", test.labels, probabilities[BOTH], probabilities[NGRAMS])
    return {
        "measured": conditions(),
        "model_id": bundle.model_id,
        "rows": len(test),
        "parts": {
            name: {
                "right": int(hits.sum()),
                "accuracy": float(hits.mean()),
                "interval": wilson(int(hits.sum()), len(hits)),
                "accuracy_unseen": round(float(hits[~in_either].mean()), 5),
            }
            for name, hits in right.items()
        },
        "against_ngrams": {
            "better": paired.better,
            "worse": paired.worse,
            "p_value": round(paired.p_value, 4),
        },
        "overlap": {
            **{split: int(rows.sum()) for split, rows in seen.items()},
            "either": int(in_either.sum()),
        },
    }


def table(results: Mapping[str, Any]) -> str:
    """Return the parts as a Markdown table."""
    return markdown_table(
        [
            {
                "part": name,
                "accuracy": f"{100 * part['accuracy']:.2f} %",
                "95 % interval": " to ".join(f"{100 * limit:.2f} %" for limit in part["interval"]),
                "on unseen reviews": f"{100 * part['accuracy_unseen']:.2f} %",
            }
            for name, part in results["parts"].items()
        ]
    )


def _probabilities(bundle: Bundle, texts: pa.ChunkedArray) -> Mapping[str, NDArray[np.float32]]:
    """Return the probabilities of *positive*, float32, (reviews,), by each part of the network.

    The log-odds of a part come from its own features, with all others set to 0. The bias belongs to
    the LSTM.
    """
    weights = weights_of((bundle.path / ONNX_FILE).read_bytes(), bundle.recipe)
    only_ngrams, only_lstm = weights.output_kernel.copy(), weights.output_kernel.copy()
    only_ngrams[:-1] = only_lstm[-1] = 0
    parts = {
        NGRAMS: replace(weights, output_kernel=only_ngrams, output_bias=0 * weights.output_bias),
        LSTM: replace(weights, output_kernel=only_lstm),
        BOTH: weights,
    }
    sequences = encode(texts, bundle.vocabulary, bundle.recipe.encoding)
    return {
        name: CompiledEngine(part, bundle.recipe, bundle.ngrams).probabilities(sequences)
        for name, part in parts.items()
    }


if __name__ == "__main__":
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(measure(), indent=2) + "\n", "utf-8")
    print(RESULT.read_text("utf-8"))
