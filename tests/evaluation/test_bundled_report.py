"""What the report and the card of the bundled model show, and in which order."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from imdb_classifier.evaluation.report import render_html
from imdb_classifier.evaluation.result import Evaluation, Figure, OwnSet
from imdb_classifier.model.bundle import CARD_FILE, load_bundle
from imdb_classifier.registry.versions import bundled_path


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    found = load_bundle(bundled_path()).evaluation
    assert found is not None
    return Evaluation.from_dict(found)


def test_the_card_has_all_evidence() -> None:
    card = (bundled_path() / CARD_FILE).read_text("utf-8")
    assert re.findall(r"^###? (.*)", card, re.MULTILINE)[:7] == [
        "Figures",
        "Coverage",
        "What each part adds",
        "How sound the reviews are",
        "Where it fails",
        "Behavior",
        "Intended use",
    ]
    assert "2.9 %" in card
    assert "| test reviews: negated opinion |" in card


def test_the_page_has_first_what_most_readers_need(evaluation: Evaluation) -> None:
    share = Figure(0.9, 0.8, 0.95)
    own = OwnSet("shop", 120, 120, 0, {}, "f", share, share, None, None, None)
    page = render_html(replace(evaluation, own_sets=(own,)))
    verdict, *sections = re.findall(r"<h[12]>(.*?)</h", page, re.DOTALL)
    assert "of 25,000 reviews labeled correctly" in verdict
    parts = [
        "Coverage and accuracy",
        "Calibration",
        "Behavior",
        "Your own sets",
        "Accuracy by length",
        "Accuracy by content",
        "Other texts",
        "What each part adds",
        "Training",
    ]
    assert [section for section in sections if section in parts] == parts
