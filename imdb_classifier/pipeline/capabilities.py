"""The behavior suite, run on a model."""

from __future__ import annotations

import pyarrow as pa

from imdb_classifier.evaluation.behavior.cases import load_suite, suite_fingerprint
from imdb_classifier.evaluation.behavior.judgment import Behavior, judge, texts_of
from imdb_classifier.reviews.overlap import known_rows
from imdb_classifier.schema import TEXT
from imdb_classifier.scoring.scorer import Scorer


def run_suite(scorer: Scorer) -> Behavior:
    """Return how a model does on the behavior suite, without texts that it was trained on."""
    suite = load_suite()
    texts = pa.chunked_array([pa.array(texts_of(suite), pa.string())])
    learned = known_rows(pa.table({TEXT: texts}), scorer.bundle.learned)
    probabilities = scorer.probabilities(texts).to_numpy()
    return judge(suite, suite_fingerprint(), probabilities, learned)
