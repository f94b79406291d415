"""Adapting a model to texts of another kind, by the user's own labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from imdb_classifier import adapt, explain, load_bundle
from imdb_classifier.errors import BadDataError, NoInputError
from imdb_classifier.model.bundle import Bundle
from imdb_classifier.registry.versions import Registry
from imdb_classifier.reviews.overlap import known_rows
from imdb_classifier.reviews.sources import DATA_VARIABLE
from imdb_classifier.samples import FOLDER
from imdb_classifier.scoring.scorer import Scorer
from tests.appliances import appliances


@pytest.fixture(autouse=True)
def no_reviews_at_hand(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(DATA_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def accuracy(bundle: Bundle, table: pa.Table) -> float:
    with Scorer(bundle) as scorer:
        found = scorer.probabilities(table["text"]).to_numpy() > 0.5
    return float((found == table["label"].to_numpy()).mean())


@pytest.fixture(scope="module")
def adapted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    folder = tmp_path_factory.mktemp("adapted")
    pq.write_table(appliances(300, 1), folder / "labeled.parquet")
    found = adapt(folder / "labeled.parquet", registry=folder / "registry", data=FOLDER)
    return found, folder


def test_words_of_another_field_are_learned(adapted: tuple[Any, Path]) -> None:
    found, folder = adapted
    assert found.chosen.change == "n-grams"
    others = appliances(400, 2)
    before, after = accuracy(found.base, others), accuracy(found.bundle, others)
    assert before < 0.75
    assert after > 0.97
    tried = {attempt.change: attempt.accuracy for attempt in found.attempts}
    assert tried["none"] == pytest.approx(before, abs=0.08)
    assert found.chosen.accuracy == pytest.approx(after, abs=0.04)
    registry = Registry.at(folder / "registry")
    assert registry.aliases() == {"challenger": found.bundle.model_id}
    assert registry.is_undecided(found.bundle.model_id)
    assert not [*registry.work.glob("*/bundle")]


def test_the_bundle_says_where_it_comes_from(adapted: tuple[Any, Path]) -> None:
    found, folder = adapted
    described = found.bundle.manifest["adaptation"]
    assert (described["base"], described["base_hash"]) == (
        found.base.model_id,
        found.base.model_hash,
    )
    assert described["labels"]["rows"] == 300
    assert described["chosen"]["change"] == "n-grams"
    assert described["attempts"][0]["change"] == "none"
    assert found.bundle.model_id.startswith("production-adapted-")
    labeled = pq.read_table(folder / "labeled.parquet")
    assert known_rows(labeled, found.bundle.learned).all()
    assert np.isin(found.base.learned, found.bundle.learned).all()
    assert found.evaluation["rows"] == 86
    card = (found.bundle.path / "README.md").read_text("utf-8")
    assert f"Adapted from `{found.base.model_id}` to 300 labels" in card
    assert f"imdb-classifier adapt LABELED.parquet --model {found.base.model_id}\n" in card
    assert "--recipe" not in card


def test_every_engine_and_the_explanation_read_it(adapted: tuple[Any, Path]) -> None:
    found, _ = adapted
    texts = appliances(40, 3)["text"]
    scores = []
    for engine in ("onnx", "keras"):
        with Scorer(load_bundle(found.bundle.path, engine)) as scorer:
            scores.append(scorer.probabilities(texts).to_numpy())
    with Scorer(found.bundle) as scorer:
        scores.append(scorer.probabilities(texts).to_numpy())
        (explanation,) = explain(["The lamp arrived late."], model=scorer)
    for other in scores[1:]:
        np.testing.assert_allclose(other, scores[0], atol=1e-5)
    assert next(n.log_odds for n in explanation.ngrams if n.ngram == "arrived late") < -0.5


def test_bias_and_scale_need_fewer_labels_and_no_ngrams(
    tiny_bundle: Bundle, tmp_path: Path
) -> None:
    # Scores say which of two is better, but nearly all of them are on one side.
    sample = pq.read_table(FOLDER / "train-00000-of-00001.parquet")
    with Scorer(tiny_bundle) as scorer:
        scores = scorer.probabilities(sample["text"]).to_numpy()
    labels = (scores > np.quantile(scores, 0.8)).astype(np.int8)
    file = tmp_path / "labeled.parquet"
    pq.write_table(pa.table({"text": sample["text"], "label": labels}), file)
    found = adapt(file, str(tiny_bundle.path), registry=tmp_path / "registry")
    assert found.chosen.change == "bias and scale"
    assert [attempt.change for attempt in found.attempts] == ["none", "bias and scale"]
    table = pa.table({"text": sample["text"], "label": labels})
    assert accuracy(found.bundle, table) > accuracy(tiny_bundle, table) + 0.2
    # Without IMDB reviews at hand, it is registered without an evaluation on them.
    assert found.evaluation == {}
    assert Registry.at(tmp_path / "registry").aliases() == {"challenger": found.bundle.model_id}


def test_nothing_changes_where_nothing_is_off(tmp_path: Path) -> None:
    sample = pq.read_table(FOLDER / "test-00000-of-00001.parquet")
    base = Registry.at(tmp_path / "registry").load("@champion")
    with Scorer(base) as scorer:
        scores = scorer.probabilities(sample["text"]).to_numpy()
    labels = (np.random.default_rng(1).random(len(scores)) < scores).astype(np.int8)
    pq.write_table(
        pa.table({"text": sample["text"], "label": labels}), tmp_path / "labeled.parquet"
    )
    found = adapt(tmp_path / "labeled.parquet", registry=tmp_path / "registry")
    assert found.chosen.change == "none"
    assert found.bundle.model_hash == base.model_hash
    assert Registry.at(tmp_path / "registry").aliases() == {}


def test_too_few_labels_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "labeled.parquet"
    for labels in ([0, 1] * 24, [0] * 60 + [1] * 9):
        pq.write_table(pa.table({"text": ["a"] * len(labels), "label": labels}), file)
        with pytest.raises(BadDataError, match=r"at least 50 labels, 10 of each kind\. There are"):
            adapt(file, registry=tmp_path / "registry")
    with pytest.raises(NoInputError, match=r"absent"):
        adapt(tmp_path / "absent.parquet", registry=tmp_path / "registry")
