from __future__ import annotations

from dataclasses import replace

import pyarrow as pa
import pytest

from imdb_classifier.errors import ConfigurationError
from imdb_classifier.model.bundle import Bundle
from imdb_classifier.pipeline.evaluate import evaluate_bundle, worst_texts
from imdb_classifier.reviews.dataset import ENCODED_REVIEWS, Reviews
from imdb_classifier.reviews.load import load_reviews
from imdb_classifier.reviews.overlap import fingerprints_of
from imdb_classifier.samples import FOLDER


def test_evaluation_says_what_was_measured_on_what(tiny_bundle: Bundle) -> None:
    evaluation, reviews = evaluate_bundle(tiny_bundle, str(FOLDER))
    assert evaluation.rows == len(reviews) == 86
    assert evaluation.model == {
        "id": tiny_bundle.model_id,
        "hash": tiny_bundle.model_hash,
        "recipe": "tiny",
        "seed": 7,
    }
    assert evaluation.data["fingerprint"] == reviews.fingerprint
    assert evaluation.data["learned"] == 0
    assert [epoch["epoch"] for epoch in evaluation.history] == [1, 2, 3, 4]
    texts = worst_texts(evaluation, reviews)
    assert texts is not None
    assert texts[0] == reviews.table["text"][evaluation.worst[0].row].as_py()
    # Lengths are those of whole reviews, though the network reads 100 tokens of each.
    assert max(len(text.split()) for text in reviews.table["text"].to_pylist()) > 100
    assert evaluation.profile is not None
    assert any(evaluation.profile.lengths[2:])


def test_an_evaluation_says_where_a_model_fails(
    tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluation, _ = evaluate_bundle(tiny_bundle, str(FOLDER))
    kinds = {part.name: part.rows for part in evaluation.by_kind}
    assert {*kinds} == {"irony", "long", "mixed", "negation", "plain", "product", "short"}
    # The rest of the sample is what this model has learned from.
    assert sum(kinds.values()) == 86
    train, test = (load_reviews(str(FOLDER), split).table for split in ("train", "test"))
    for learned, rows in (([train], 86), ([test], 178), ([train, test], 0)):
        monkeypatch.setattr(Bundle, "learned", fingerprints_of(learned))
        evaluation, _ = evaluate_bundle(replace(tiny_bundle), str(FOLDER))
        assert sum(part.rows for part in evaluation.by_kind) == rows
    assert evaluation.data["learned"] == 86


def test_ids_of_keras_are_not_scored_by_a_model_with_other_ids(
    tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = pa.table([[[1, 4, 5]], [1]], schema=ENCODED_REVIEWS)
    reviews = Reviews("keras", "test", table, ("the", "a"), {}, "f")
    monkeypatch.setattr("imdb_classifier.pipeline.evaluate.load_reviews", lambda *_, **__: reviews)
    with pytest.raises(ConfigurationError, match=r"was trained on parquet reviews.*`data`"):
        evaluate_bundle(tiny_bundle, "keras")
