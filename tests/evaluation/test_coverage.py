"""How many reviews can be labeled at an accuracy, and at which confidence."""

from __future__ import annotations

import json

import numpy as np
import pytest
from numpy.typing import NDArray

from imdb_classifier.evaluation import report
from imdb_classifier.evaluation.metrics import ACCURACY_TARGETS, evaluate, measure_coverage
from imdb_classifier.evaluation.result import Evaluation


def _calibrated(rows: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
    rng = np.random.default_rng(seed)
    probabilities = rng.beta(0.3, 0.3, rows).astype(np.float32)
    return probabilities, (rng.random(rows) < probabilities).astype(np.int8)


def _evaluation(rows: int) -> Evaluation:
    probabilities, labels = _calibrated(rows, 1)
    return evaluate(labels, probabilities, np.full(rows, 200), data={}, model={})


def test_confidence_is_traded_for_accuracy() -> None:
    probabilities, labels = _calibrated(20_000, 0)
    right = (probabilities >= 0.5) == (labels == 1)
    found = measure_coverage(probabilities, right)
    assert [target.target for target in found.targets] == list(ACCURACY_TARGETS)
    covered = []
    for target in found.targets:
        assert target.confidence is not None
        assert target.coverage is not None
        assert target.accuracy is not None
        assert target.accuracy.value == pytest.approx(target.target, abs=0.01)
        kept = np.maximum(probabilities, 1 - probabilities) >= np.float32(target.confidence)
        assert target.coverage.value == pytest.approx(kept.mean(), abs=0.02)
        assert target.accuracy.low < right[kept].mean() < target.accuracy.high
        covered.append(target.coverage.value)
    assert covered == sorted(covered, reverse=True)
    first, last = found.curve[0], found.curve[-1]
    assert last.coverage == 1
    assert last.accuracy == pytest.approx(right.mean())
    assert first.confidence > last.confidence
    assert first.accuracy > last.accuracy
    assert len(found.curve) <= 50


def test_what_is_chosen_on_reviews_is_not_measured_on_them() -> None:
    # Confidence says nothing here. On the rows themselves, some confidence would look better.
    rng = np.random.default_rng(0)
    errors = []
    for _ in range(100):
        right = rng.random(400) < 0.95
        for found in measure_coverage(rng.random(400).astype(np.float32), right).targets:
            if found.accuracy:
                errors.append(found.accuracy.value - 0.95)
    assert len(errors) > 50
    assert abs(np.mean(errors)) < 0.004


def test_a_few_reviews_reach_nothing() -> None:
    evaluation = _evaluation(150)
    assert evaluation.coverage
    assert {target.confidence for target in evaluation.coverage.targets} == {None}
    assert report.render_html(evaluation).count("not reached") == len(ACCURACY_TARGETS)
    assert report.render_markdown(evaluation).count("not reached") == len(ACCURACY_TARGETS)


def test_report_and_card_tell_the_confidence_to_score_with() -> None:
    evaluation = _evaluation(4_000)
    assert evaluation.coverage
    first = evaluation.coverage.targets[0]
    assert first.confidence is not None
    assert first.coverage is not None
    cells = f"{first.confidence:.3f}", f"{100 * first.coverage.value:.1f}"
    assert f"| 95 % | {cells[0]} | {cells[1]} % | " in report.render_markdown(evaluation)
    page = report.render_html(evaluation)
    assert f"<td>{cells[0]}</td><td>{cells[1]}&nbsp;%</td>" in page
    assert "Accuracy by share of reviews labeled" in page


def test_evaluations_of_earlier_releases_have_no_coverage() -> None:
    evaluation = _evaluation(4_000)
    values = json.loads(report.render_json(evaluation))
    assert Evaluation.from_dict(values) == evaluation
    del values["coverage"]
    earlier = Evaluation.from_dict(values)
    assert earlier.coverage is None
    for text in (report.render_html(earlier), report.render_markdown(earlier)):
        assert "drawn at random" not in text
