from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from imdb_classifier.evaluation.behavior.cases import load_suite
from imdb_classifier.evaluation.behavior.judgment import Behavior, texts_of
from imdb_classifier.evaluation.promotion import Gates
from imdb_classifier.model.bundle import Bundle, load_bundle
from imdb_classifier.pipeline.evidence import run_suite
from imdb_classifier.pipeline.promote import decide_promotion
from imdb_classifier.registry.versions import Registry, bundled_path
from imdb_classifier.reviews.overlap import fingerprints_of
from imdb_classifier.samples import FOLDER
from imdb_classifier.scoring.scorer import Scorer
from tests.crafted import with_words


@pytest.fixture(scope="module")
def bundled() -> Bundle:
    return load_bundle(bundled_path())


@pytest.fixture(scope="module")
def behavior(bundled: Bundle) -> Behavior:
    with Scorer(bundled) as scorer:
        return run_suite(scorer)


def test_the_bundled_model_is_tested_on_texts_that_it_was_not_trained_on(
    behavior: Behavior,
) -> None:
    rates = {part.name: part.failure_rate for part in behavior.capabilities}
    assert rates.keys() == {capability.name for capability in load_suite()}
    assert behavior.learned == 0
    # What everybody can do, and what this model is known not to.
    assert rates["one plain sentence"] == rates["upper and lower case"] == 0
    assert rates["negated blame"] > 0.5


def test_the_bundled_model_comes_with_its_behavior(bundled: Bundle, behavior: Behavior) -> None:
    assert bundled.evaluation is not None
    found = Behavior.from_dict(bundled.evaluation["behavior"])
    assert (found.suite, found.texts, found.learned) == (behavior.suite, behavior.texts, 0)
    # Another CPU may move a probability over a limit.
    for ours, theirs in zip(found.capabilities, behavior.capabilities, strict=True):
        assert (ours.name, ours.cases) == (theirs.name, theirs.cases)
        assert abs(ours.failures - theirs.failures) <= 1


def test_texts_of_the_suite_that_a_model_was_trained_on_do_not_count(
    bundled: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    cases = load_suite()[0].cases
    texts = pa.table({"text": [case.texts[0].upper() for case in cases]})
    monkeypatch.setitem(vars(bundled), "learned", fingerprints_of([texts]))
    with Scorer(bundled) as scorer:
        found = run_suite(scorer)
    assert found.learned == len(cases)
    assert [part.name for part in found.capabilities] == [
        capability.name for capability in load_suite()[1:]
    ]


def test_a_model_that_is_right_overall_and_broken_on_one_capability_is_refused(
    bundled: Bundle, tmp_path: Path
) -> None:
    registry = Registry.at(tmp_path / "registry")
    # It takes 1 for 8 and 2 for 100; none of them occurs in the test rows.
    swapped = {"1": "8", "8": "1", "2": "100", "100": "2"}
    words = [swapped.get(word, word) for word in bundled.vocabulary.words.to_pylist()]
    broken = registry.register(with_words(bundled, words, tmp_path / "broken"), "{}", "")
    gates = Gates(accuracy=0, log_loss=9, calibration_error=1)
    decision = decide_promotion(broken, registry, str(FOLDER), gates)
    assert decision is not None
    assert decision.overall.challenger_accuracy == decision.overall.champion_accuracy
    assert not decision.promote
    assert [check.name for check in decision.checks if not check.passed] == [
        "behavior: stars in digits"
    ]
    assert decision.reason.endswith(": refused (failed: behavior: stars in digits).")
    assert registry.champion_id() == bundled.model_id


def test_the_same_texts_get_the_same_scores_in_any_engine(behavior: Behavior) -> None:
    with Scorer(load_bundle(bundled_path(), "onnx")) as scorer:
        found = run_suite(scorer)
    ours, theirs = (
        np.array([part.failures for part in results.capabilities]) for results in (behavior, found)
    )
    # A probability at a limit may fall on either side.
    assert np.abs(ours - theirs).max() <= 1
    assert found.texts == behavior.texts == len(texts_of(load_suite()))
