"""How close the expected accuracy comes to the true one, and how much can be labeled accurately.

``python -m benchmarks.expected_accuracy`` needs the IMDB data set and takes a minute. It writes
JSON to ``build/expected_accuracy.json``; the documentation shows the copy in this folder.
``NAME=PATH`` adds labeled reviews of your own, a Parquet file or a folder of them, to the table.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from benchmarks.conditions import conditions
from benchmarks.table import markdown_table
from imdb_classifier.evaluation.metrics import measure_coverage
from imdb_classifier.model.bundle import load_bundle
from imdb_classifier.monitoring.drift import measure_drift
from imdb_classifier.registry.versions import bundled_path
from imdb_classifier.reviews.load import load_own_set, load_reviews
from imdb_classifier.samples import FOLDER, KIND
from imdb_classifier.schema import LABEL, TEXT, THRESHOLD, ScoreHistogram
from imdb_classifier.scoring.scorer import Scorer
from imdb_classifier.storage.paths import StrPath
from imdb_classifier.text.batch_profile import SCORE_BINS

RESULT = Path("build/expected_accuracy.json")
BATCH_ROWS = 1_000


def measure(own: Mapping[str, StrPath]) -> dict[str, Any]:
    """Compare expected and true accuracy of the bundled model on labeled sets.

    One half of the IMDB test split serves as the reviews that the model was checked on, so the
    other half is new to the estimate.

    Args:
        own: Labeled reviews of the user's own by name, as for `load.load_own_set`.

    Returns:
        measured (see `conditions.conditions`) and model_id; sets (name, rows, accuracy, expected,
        low, high, and outside: the measures that make it untrusted); batches (of `BATCH_ROWS`
        reviews of the other half: number, mean_error and largest_error, absolute, and covered: how
        many of their intervals contain the accuracy); coverage (the targets that `measure_coverage`
        gives for the whole test split).
    """
    own_sets = {name: load_own_set(path) for name, path in own.items()}
    test = load_reviews(None, "test")
    order = np.random.default_rng(0).permutation(len(test))
    checked, new = order[: len(order) // 2], order[len(order) // 2 :]
    with Scorer(load_bundle(bundled_path())) as scorer:
        pending = scorer.start(test.table[TEXT].take(pa.array(checked)))
        histogram = _histogram(pending.result().to_numpy(), test.labels[checked])
        reference = pending.profile()
        scores = scorer.probabilities(test.table[TEXT]).to_numpy()
        coverage = measure_coverage(scores, (scores >= THRESHOLD) == (test.labels == 1))

        def row(name: str, texts: pa.ChunkedArray, labels: NDArray[np.int8]) -> dict[str, Any]:
            pending = scorer.start(texts)
            right = (pending.result().to_numpy() >= THRESHOLD) == (labels == 1)
            drift = measure_drift("", pending.profile(), reference, checked=histogram)
            expected = drift.expected_accuracy
            assert expected is not None
            return {
                "name": name,
                "rows": len(labels),
                "accuracy": float(right.mean()),
                "expected": expected.value,
                "low": expected.low,
                "high": expected.high,
                "outside": list(expected.outside),
            }

        texts, labels = test.table[TEXT].take(pa.array(new)), test.labels[new]
        batches = [
            row("", texts[start : start + BATCH_ROWS], labels[start : start + BATCH_ROWS])
            for start in range(0, len(labels) - BATCH_ROWS + 1, BATCH_ROWS)
        ]
        errors = [abs(batch["expected"] - batch["accuracy"]) for batch in batches]
        return {
            "measured": conditions(),
            "model_id": scorer.bundle.model_id,
            "sets": [
                *(row(*part) for part in _sets(texts, labels)),
                *(row(name, own.table[TEXT], own.labels) for name, own in own_sets.items()),
            ],
            "batches": {
                "number": len(batches),
                "mean_error": float(np.mean(errors)),
                "largest_error": max(errors),
                "covered": sum(b["low"] <= b["accuracy"] <= b["high"] for b in batches),
            },
            "coverage": [asdict(target) for target in coverage.targets],
        }


def table(results: Mapping[str, Any]) -> str:
    """Return the sets as a Markdown table."""
    return markdown_table(
        [
            {
                "texts": part["name"],
                "rows": part["rows"],
                "accuracy": f"{100 * part['accuracy']:.1f} %",
                "expected": f"{100 * part['expected']:.1f} % "
                f"[{100 * part['low']:.1f}, {100 * part['high']:.1f}]",
                "off by, points": f"{100 * (part['expected'] - part['accuracy']):+.1f}",
                "untrusted because of": ", ".join(part["outside"]).replace("_", " "),
            }
            for part in results["sets"]
        ]
    )


def changed_reviews(results: Mapping[str, Any]) -> str:
    """Return the accuracy on IMDB reviews, and on cut and misspelled ones, as a Markdown table."""
    return markdown_table(
        [
            {
                "texts": part["name"],
                "rows": part["rows"],
                "accuracy": f"{100 * part['accuracy']:.1f} %",
            }
            for part in results["sets"]
            if "IMDB reviews" in part["name"]
        ]
    )


def coverage_table(results: Mapping[str, Any]) -> str:
    """Return the coverage as a Markdown table."""
    return markdown_table(
        [
            {
                "accuracy wanted": f"{100 * found['target']:g} %",
                "confidence": f"{found['confidence']:.3f}",
                "reviews labeled": f"{100 * found['coverage']['value']:.1f} %",
                "accuracy": f"{100 * found['accuracy']['value']:.1f} %",
                "95 % interval": f"{100 * found['accuracy']['low']:.1f} % to "
                f"{100 * found['accuracy']['high']:.1f} %",
            }
            for found in results["coverage"]
        ]
    )


def _sets(
    texts: pa.ChunkedArray, labels: NDArray[np.int8]
) -> Iterator[tuple[str, pa.ChunkedArray, NDArray[np.int8]]]:
    yield "IMDB reviews", texts, labels
    for label, name in enumerate(("negative", "positive")):
        rows = labels == label
        yield f"IMDB reviews, {name} ones only", texts.filter(pa.array(rows)), labels[rows]
    changes: dict[str, Callable[[list[str]], list[str]]] = {
        "last 100 words of IMDB reviews": lambda words: words[-100:],
        "first 50 words of IMDB reviews": lambda words: words[:50],
        "first 10 words of IMDB reviews": lambda words: words[:10],
        "IMDB reviews, every third word misspelled": lambda words: [
            f"{word[:1]}{word}" if number % 3 == 0 else word for number, word in enumerate(words)
        ],
    }
    for name, change in changes.items():
        changed = [" ".join(change(text.split())) for text in texts.to_pylist()]
        yield name, pa.chunked_array([pa.array(changed, pa.string())]), labels
    sentences = [
        [part for part in re.split(r"(?<=[.!?])\s+", text) if len(part.split()) > 2][-1:] or [text]
        for text in texts.to_pylist()
    ]
    last = pa.chunked_array([pa.array([found[0] for found in sentences], pa.string())])
    yield "last sentence of IMDB reviews", last, labels
    samples = pa.concat_tables(map(pq.read_table, sorted(FOLDER.glob("*.parquet"))))
    truth, kinds = samples[LABEL].to_numpy(), samples[KIND].to_numpy()
    yield "samples of this project", samples[TEXT], truth
    for kind in sorted(set(kinds)):
        rows = kinds == kind
        yield f"samples: {kind}", samples[TEXT].filter(pa.array(rows)), truth[rows]


def _histogram(probabilities: NDArray[np.float32], labels: NDArray[np.int8]) -> ScoreHistogram:
    return ScoreHistogram(
        *(
            tuple(np.histogram(probabilities[labels == label], SCORE_BINS, (0, 1))[0].tolist())
            for label in (0, 1)
        )
    )


if __name__ == "__main__":
    own = dict(argument.split("=", 1) for argument in sys.argv[1:])
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(measure(own), indent=2) + "\n", "utf-8")
    measured = json.loads(RESULT.read_text("utf-8"))
    print(table(measured), coverage_table(measured), sep="\n\n")
