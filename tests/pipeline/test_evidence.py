"""What the parts of a model label by themselves, and reviews that occur twice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from imdb_classifier import explain
from imdb_classifier.evaluation.slices import LEAST_ROWS
from imdb_classifier.model.bundle import Bundle, load_bundle
from imdb_classifier.pipeline.evaluate import evaluate_bundle
from imdb_classifier.registry.versions import bundled_path
from imdb_classifier.reviews.dataset import REVIEWS
from imdb_classifier.reviews.overlap import fingerprints_of
from imdb_classifier.samples import FOLDER
from imdb_classifier.scoring.scorer import Scorer


def test_each_part_labels_the_reviews_by_its_own_log_odds() -> None:
    bundle = load_bundle(bundled_path())
    evaluation, reviews = evaluate_bundle(bundle, str(FOLDER))
    explained = explain(reviews.table["text"].to_pylist(), model=bundle.path, top=1)
    ngrams, lstm = (
        np.array([getattr(found, name) for found in explained])
        for name in ("ngram_log_odds", "lstm_log_odds")
    )
    positive = reviews.labels == 1
    assert [part.name for part in evaluation.parts] == ["n-grams alone", "LSTM alone", "both"]
    for part, log_odds in zip(evaluation.parts, (ngrams, lstm, ngrams + lstm), strict=True):
        right = ((log_odds >= 0) == positive).sum()
        # N-grams whose weights add up to nothing may fall on either side.
        undecided = (np.abs(log_odds) < 1e-5).sum()
        assert undecided <= 1
        assert part.accuracy.value * len(positive) == pytest.approx(right, abs=undecided + 1e-9)
        losses = np.log1p(np.exp(np.where(positive, -log_odds, log_odds)))
        assert part.log_loss.value == pytest.approx(losses.mean(), abs=1e-5)
    *parts, both = evaluation.parts
    assert both.accuracy == evaluation.figures["accuracy"]
    assert both.added is None
    for part in parts:
        assert part.added is not None
        assert part.added.value == pytest.approx(both.accuracy.value - part.accuracy.value)
        assert part.added.low <= part.added.value <= part.added.high


def test_a_model_of_one_part_has_no_parts(tiny_bundle: Bundle) -> None:
    evaluation, _ = evaluate_bundle(tiny_bundle, str(FOLDER))
    assert evaluation.parts == ()


def test_reviews_are_sliced_by_what_is_in_them(tiny_bundle: Bundle, tmp_path: Path) -> None:
    length = tiny_bundle.recipe.encoding.sequence_length
    texts = ["This is not a good film."] * LEAST_ROWS
    texts += ["the film " * length] * (LEAST_ROWS + 1) + ["zork"] * (LEAST_ROWS - 1)
    labels = [row % 2 for row in range(len(texts))]
    pq.write_table(pa.table([texts, labels], schema=REVIEWS), tmp_path / "test-0.parquet")
    negated, truncated = evaluate_bundle(tiny_bundle, str(tmp_path))[0].slices
    assert (negated.name, negated.rows) == ("negated opinion", LEAST_ROWS)
    assert (truncated.name, truncated.rows) == ("truncated", LEAST_ROWS + 1)
    with Scorer(tiny_bundle) as scorer:
        called = scorer.probabilities(pa.array(texts[:LEAST_ROWS])).to_numpy() >= 0.5
    assert negated.accuracy.value == (called == np.array(labels[:LEAST_ROWS])).mean()
    assert negated.positives == LEAST_ROWS // 2
    # One more review of unknown words is enough.
    texts.append("zork")
    pq.write_table(pa.table([texts, [*labels, 0]], schema=REVIEWS), tmp_path / "test-0.parquet")
    names = [part.name for part in evaluate_bundle(tiny_bundle, str(tmp_path))[0].slices]
    assert names == ["negated opinion", "truncated", "many unknown words"]


def test_repeated_and_learned_reviews_are_left_out(
    tiny_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = ["A warm film.", "a WARM film!", "Dull and loud.", "Never again.", "never<br />again"]
    texts += ["A joy to watch.", "A bore to watch."]
    labels = [1, 0, 0, 0, 0, 1, 0]
    pq.write_table(pa.table([texts, labels], schema=REVIEWS), tmp_path / "test-0.parquet")
    learned = pa.table([["dull, and loud", "NEVER AGAIN"], [0, 0]], schema=REVIEWS)
    monkeypatch.setitem(vars(tiny_bundle), "learned", fingerprints_of([learned]))
    found = evaluate_bundle(tiny_bundle, str(tmp_path))[0].distinct
    pq.write_table(
        pa.table([texts, labels], schema=REVIEWS).take([0, 5, 6]), tmp_path / "test-0.parquet"
    )
    alone = evaluate_bundle(tiny_bundle, str(tmp_path))[0]
    assert found is not None
    assert (found.rows, found.repeated, found.learned) == (3, 2, 2)
    assert found.accuracy == alone.figures["accuracy"]
    assert found.log_loss == alone.figures["log_loss"]
    assert alone.distinct is not None
    assert (alone.distinct.rows, alone.distinct.repeated, alone.distinct.learned) == (3, 0, 0)


def test_where_everything_is_known_nothing_is_distinct(
    tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    test = pq.read_table(FOLDER / "test-00000-of-00001.parquet", columns=["text"])
    monkeypatch.setitem(vars(tiny_bundle), "learned", fingerprints_of([test]))
    assert evaluate_bundle(tiny_bundle, str(FOLDER))[0].distinct is None
