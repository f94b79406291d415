from __future__ import annotations

import re
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pytest

from imdb_classifier.evaluation import plots
from imdb_classifier.evaluation.metrics import evaluate
from imdb_classifier.evaluation.result import Evaluation


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    rng = np.random.default_rng(8)
    labels = (np.arange(600) % 2).astype(np.int8)
    return evaluate(
        labels,
        np.clip(labels * 0.4 + rng.uniform(0, 0.6, 600), 0, 1).astype(np.float32),
        rng.integers(5, 900, 600),
        data={},
        model={},
        history=[{"epoch": 1, "loss": 0.5, "val_loss": None}, {"epoch": 2, "loss": 0.4}],
    )


@pytest.fixture(scope="module")
def svgs(evaluation: Evaluation) -> dict[str, str]:
    return plots.draw(evaluation)


def test_every_plot_is_well_formed_and_scales(svgs: dict[str, str]) -> None:
    assert list(svgs) == ["roc", "calibration", "histogram", "by_length", "coverage", "history"]
    for svg in svgs.values():
        root = ElementTree.fromstring(svg)
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert "viewBox" in root.attrib
        assert "width" not in root.attrib
        assert root.find("{http://www.w3.org/2000/svg}metadata") is None


@pytest.mark.parametrize("part", ["history", "by_length"])
def test_a_part_that_an_evaluation_lacks_is_not_drawn(evaluation: Evaluation, part: str) -> None:
    values = {**evaluation.to_dict(), part: []}

    assert part not in plots.draw(Evaluation.from_dict(values))


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("roc", ["false positive rate", "true positive rate (recall)", "threshold 0.5"]),
        ("calibration", ["share of positive reviews", "reviews"]),
        ("histogram", ["probability of positive", "positive reviews", "negative reviews"]),
        ("by_length", ["accuracy", "words", "51-100", "501+"]),
        ("history", ["loss", "accuracy", "epoch", "training", "validation"]),
    ],
)
def test_text_stays_text(svgs: dict[str, str], name: str, labels: list[str]) -> None:
    written = ElementTree.fromstring(svgs[name]).itertext()

    assert set(labels) <= {text.strip() for text in written}


def test_the_page_chooses_the_colours(svgs: dict[str, str]) -> None:
    for svg in svgs.values():
        assert "var(--muted)" in svg
        assert not re.findall(r"#[0-9a-f]{6}\b", svg)


def test_ids_do_not_meet_on_one_page(svgs: dict[str, str]) -> None:
    ids = [name for svg in svgs.values() for name in re.findall(r'\bid="([^"]+)"', svg)]

    assert ids
    assert len(ids) == len(set(ids))


def test_bytes_depend_on_nobodys_settings(
    evaluation: Evaluation, svgs: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    with mpl.rc_context({"font.size": 20, "xtick.major.size": 12, "svg.hashsalt": "x"}):
        assert plots.draw(evaluation) == svgs
        assert mpl.rcParams["font.size"] == 20
