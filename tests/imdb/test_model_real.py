"""The bundled model is what it says it is, on the real test split."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from imdb_classifier.batch.run import score_parquet
from imdb_classifier.evaluation.result import Evaluation
from imdb_classifier.model.bundle import KERAS_FILE, ONNX_FILE, TOLERANCE, Bundle, load_bundle
from imdb_classifier.model.engines.keras_engine import KerasEngine
from imdb_classifier.model.engines.onnx_engine import OnnxEngine
from imdb_classifier.pipeline.evaluate import evaluate_bundle
from imdb_classifier.registry.versions import bundled_path
from imdb_classifier.reviews.dataset import Reviews
from imdb_classifier.reviews.load import load_reviews
from imdb_classifier.scoring.scorer import Scorer
from imdb_classifier.text.encoding import encode


@pytest.fixture(scope="module")
def bundled() -> Bundle:
    return load_bundle(bundled_path())


@pytest.fixture(scope="module")
def reviews() -> Reviews:
    return load_reviews(None, "test")


@pytest.fixture(scope="module")
def evaluation(bundled: Bundle) -> Evaluation:
    return evaluate_bundle(bundled, None)[0]


def test_its_evaluation_can_be_repeated(bundled: Bundle, evaluation: Evaluation) -> None:
    shipped = bundled.evaluation
    assert shipped is not None
    for name, figure in evaluation.figures.items():
        assert figure.value == pytest.approx(shipped["figures"][name]["value"], abs=1e-5), name
    assert evaluation.figures["accuracy"].value >= 0.92
    assert evaluation.figures["calibration_error"].value <= 0.02


def test_score_agrees_with_evaluate(
    bundled: Bundle, reviews: Reviews, evaluation: Evaluation, tmp_path: Path
) -> None:
    source, target = tmp_path / "test.parquet", tmp_path / "scored.parquet"
    pq.write_table(reviews.table, source)
    with Scorer(bundled) as scorer:
        score_parquet(str(source), str(target), scorer)
    scored = pq.read_table(target)
    is_positive = np.array(scored["sentiment_label"].to_pylist()) == "positive"
    assert (is_positive == (reviews.labels == 1)).mean() == evaluation.figures["accuracy"].value
    sequences = encode(reviews.table["text"], bundled.vocabulary, bundled.recipe.encoding)
    with Scorer(bundled) as scorer:
        expected = scorer.sequence_probabilities(sequences)
    assert scored["sentiment_probability"].to_numpy().tobytes() == expected.tobytes()


def test_every_engine_agrees_with_keras(bundled: Bundle, reviews: Reviews) -> None:
    keras = KerasEngine.load(bundled.path / KERAS_FILE, bundled.recipe, bundled.ngrams)
    # A fifth of them, because Keras takes minutes for all.
    texts = reviews.table["text"].take(np.arange(0, len(reviews), 5))
    sequences = encode(texts, bundled.vocabulary, bundled.recipe.encoding)
    expected = keras.probabilities(sequences)
    onnx_runtime = replace(
        bundled,
        engine=OnnxEngine((bundled.path / ONNX_FILE).read_bytes(), bundled.recipe, bundled.ngrams),
    )
    assert bundled.engine.name != onnx_runtime.engine.name
    for bundle in (bundled, onnx_runtime):
        with Scorer(bundle) as scorer:
            found = scorer.sequence_probabilities(sequences)
        np.testing.assert_allclose(found, expected, atol=TOLERANCE, rtol=0)
