"""How reports and cards show the parts of a model, repeated reviews and disputed labels."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from imdb_classifier.config import PRODUCTION
from imdb_classifier.evaluation import report
from imdb_classifier.evaluation.metrics import evaluate
from imdb_classifier.evaluation.result import Distinct, Evaluation, Figure, KindSlice, PartResult
from imdb_classifier.reviews.sources import IMDB_TEST_FINGERPRINT

MANIFEST = {
    "model_id": "production-0a1b2c",
    "recipe": PRODUCTION.to_dict(),
    "seed": 7,
    "data": {"source": "parquet"},
    "packages": {},
    "package_version": "0.1.0",
    "created_at": "2026-11-01T06:00:00+00:00",
}
PARTS = (
    PartResult(
        "LSTM alone", Figure(0.9, 0.88, 0.92), Figure(0.3, 0.2, 0.4), Figure(0.0213, -1e-6, 0.04)
    ),
    PartResult("both", Figure(0.9213, 0.91, 0.93), Figure(0.25, 0.2, 0.3)),
)
DISTINCT = Distinct(1_150, 20, 30, Figure(0.9123, 0.9, 0.92), Figure(0.26, 0.2, 0.3))


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    rng = np.random.default_rng(0)
    labels = (np.arange(1_200) % 2).astype(np.int8)
    probabilities = np.clip(0.5 + rng.normal(labels - 0.5, 0.4) / 2, 0, 1)
    return evaluate(
        labels,
        probabilities.astype(np.float32),
        np.full(1_200, 200),
        data={"fingerprint": "0a1b", "split": "test"},
        model={"id": "production-0a1b2c"},
    )


def _shown(evaluation: Evaluation) -> list[str]:
    """The report as Markdown and as a page, and the model card."""
    return [
        report.render_markdown(evaluation),
        report.render_html(evaluation).replace("&nbsp;", " "),
        report.render_model_card(MANIFEST, evaluation),
    ]


def test_every_report_shows_what_each_part_adds(evaluation: Evaluation) -> None:
    found = replace(evaluation, parts=PARTS)
    assert Evaluation.from_dict(json.loads(report.render_json(found))) == found
    markdown, page, card = _shown(found)
    for text in (markdown, card):
        assert "## What each part adds" in text
        assert "| LSTM alone | 90.00 % | 88.00 to 92.00 | 0.300 | +2.13 | +0.00 to +4.00 |" in text
        assert "| both | 92.13 % | 91.00 to 93.00 | 0.250 | – | – |" in text
    assert '<th scope="row">LSTM alone</th><td>90.00 %</td><td>0.300</td><td>+2.13 ' in page
    assert "(+0.00 to +4.00)" in page
    for text in _shown(evaluation):
        assert "What each part adds" not in text


def test_every_report_shows_slices_by_content(evaluation: Evaluation) -> None:
    found = replace(evaluation, slices=(KindSlice("truncated", 1_040, 500, DISTINCT.accuracy),))
    assert Evaluation.from_dict(json.loads(report.render_json(found))) == found
    markdown, page, card = _shown(found)
    assert "| truncated | 1,040 | 91.2 % | 90.0 to 92.0 |" in markdown
    assert '<th scope="row">truncated</th><td>1,040</td><td>91.2 %</td>' in page
    assert "by content" not in report.render_markdown(evaluation).lower()
    # The card shows them beside other texts.
    kinds = replace(found, by_kind=found.slices)
    assert "| test reviews: truncated | 1,040 | 91.2 %" in report.render_model_card(MANIFEST, kinds)
    assert "truncated |" not in card


def test_every_report_shows_the_figure_without_repeated_reviews(evaluation: Evaluation) -> None:
    found = replace(evaluation, distinct=DISTINCT)
    assert Evaluation.from_dict(json.loads(report.render_json(found))) == found
    for text in _shown(found):
        assert "How sound the reviews are" in text
        assert "91.23 %" in text
        assert "95 % interval 90.00 to 92.00" in text
        assert "case, punctuation, spaces and HTML tags" in text
        assert "isputed" not in text
    for text in _shown(evaluation):
        assert "How sound the reviews are" not in text


def test_disputed_labels_are_mentioned_of_the_imdb_test_split_only(evaluation: Evaluation) -> None:
    imdb = replace(evaluation, data={"split": "test", "fingerprint": IMDB_TEST_FINGERPRINT})
    for text in _shown(imdb):
        assert "How sound the reviews are" in text
        assert "2.9 %" in text
        assert "arXiv:2103.14749" in text
    others = replace(evaluation, rows=25_000, data={"split": "test", "fingerprint": "0a1b"})
    for text in _shown(others):
        assert "2.9 %" not in text


def test_evaluations_of_earlier_releases_have_neither(evaluation: Evaluation) -> None:
    values = json.loads(report.render_json(replace(evaluation, parts=PARTS, distinct=DISTINCT)))
    del values["parts"], values["slices"], values["distinct"]
    assert Evaluation.from_dict(values) == evaluation
