from __future__ import annotations

import json
import math
from dataclasses import astuple
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from imdb_classifier.errors import BadDataError, BundleError
from imdb_classifier.evaluation.metrics import evaluate, evaluate_kinds
from imdb_classifier.evaluation.result import Confusion, Evaluation, Figure
from imdb_classifier.evaluation.slices import LEAST_ROWS

FIGURES = [
    "accuracy",
    "precision",
    "recall",
    "f1",
    "roc_auc",
    "log_loss",
    "brier_score",
    "calibration_error",
]
LABELS = [0, 0, 0, 0, 0, 1, 1, 1]
PROBABILITIES = [0.05, 0.1, 0.2, 0.5, 0.8, 0.3, 0.6, 0.9]
TOKENS = [10, 50, 51, 200, 201, 300, 501, 2_000]


def _evaluate(
    labels: list[int],
    probabilities: list[float],
    token_counts: list[int] | None = None,
    **values: Any,
) -> Evaluation:
    return evaluate(
        np.array(labels, dtype=np.int8),
        np.array(probabilities, dtype=np.float32),
        np.array(token_counts or [100] * len(labels)),
        **{"data": {"split": "test"}, "model": {"id": "m"}, **values},
    )


def _random(rows: int) -> tuple[NDArray[np.int8], NDArray[np.float32], NDArray[np.int64]]:
    rng = np.random.default_rng(2)
    labels = rng.integers(0, 2, rows).astype(np.int8)
    probabilities = 1 / (1 + np.exp(-rng.normal(2 * labels - 1, 1.2)))
    return labels, probabilities.astype(np.float32), rng.integers(1, 900, rows)


def test_figures_by_hand() -> None:
    # Called positive: 0.5, 0.8, 0.6, 0.9. Positives above negatives: 3 + 4 + 5 of 15 pairs. Every
    # row has a calibration bin of its own.
    found = _evaluate(LABELS, PROBABILITIES)

    assert found.confusion == Confusion(
        true_negatives=3, false_positives=2, false_negatives=1, true_positives=2
    )
    assert (found.rows, found.positives) == (8, 3)
    assert {name: figure.value for name, figure in found.figures.items()} == pytest.approx(
        {
            "accuracy": 5 / 8,
            "precision": 2 / 4,
            "recall": 2 / 3,
            "f1": 4 / 7,
            "roc_auc": 12 / 15,
            "log_loss": -math.log(0.95 * 0.9 * 0.8 * 0.5 * 0.2 * 0.3 * 0.6 * 0.9) / 8,
            "brier_score": (0.0025 + 0.01 + 0.04 + 0.25 + 0.64 + 0.49 + 0.16 + 0.01) / 8,
            "calibration_error": (0.05 + 0.1 + 0.2 + 0.5 + 0.8 + 0.7 + 0.4 + 0.1) / 8,
        },
        abs=1e-6,
    )


def test_intervals_are_those_of_their_figures() -> None:
    figures = _evaluate(LABELS, PROBABILITIES).figures

    assert list(figures) == FIGURES
    # Wilson's of 5 of 8, 2 of 4 and 2 of 3.
    assert astuple(figures["accuracy"]) == pytest.approx((0.625, 0.3057, 0.8632), abs=1e-4)
    assert astuple(figures["precision"]) == pytest.approx((0.5, 0.1500, 0.8500), abs=1e-4)
    assert figures["recall"].low == pytest.approx(0.2077, abs=1e-4)
    # Placements of positives 3/5, 4/5, 1 and of negatives 1, 1, 1, 2/3, 1/3.
    half = 1.959964 * math.sqrt(0.04 / 3 + (32 / 45 - 0.64) / 4)
    assert figures["roc_auc"].low == pytest.approx(0.8 - half, abs=1e-6)
    assert figures["roc_auc"].high == 1.0
    squares = [0.0025, 0.01, 0.04, 0.25, 0.64, 0.49, 0.16, 0.01]
    half = 1.959964 * float(np.std(squares, ddof=1)) / math.sqrt(8)
    assert figures["brier_score"].low == pytest.approx(np.mean(squares) - half, abs=1e-6)
    assert figures["brier_score"].high == pytest.approx(np.mean(squares) + half, abs=1e-6)


def test_every_interval_holds_its_value_and_has_width() -> None:
    for name, figure in evaluate(*_random(3_000), data={}, model={}).figures.items():
        assert 0 < figure.low < figure.value < figure.high < 1, name


def test_calibration_bins_by_hand() -> None:
    # 0.51 and 0.53 share the bin from 7/15 to 8/15, 1.0 belongs to the last one.
    found = _evaluate([0, 1, 1], [0.51, 0.53, 1.0])

    assert [(part.low, part.high, part.rows) for part in found.calibration] == [
        (7 / 15, 8 / 15, 2),
        (14 / 15, 1.0, 1),
    ]
    assert found.calibration[0].mean_probability == pytest.approx(0.52)
    assert found.calibration[0].positive_share.value == 0.5
    assert found.figures["calibration_error"].value == pytest.approx(0.04 / 3, abs=1e-6)


def test_a_probability_at_the_threshold_is_positive() -> None:
    below = float(np.nextafter(np.float32(0.5), np.float32(0)))

    assert _evaluate([0, 1], [below, 0.5]).figures["accuracy"].value == 1.0


def test_certain_and_wrong_costs_a_finite_log_loss() -> None:
    found = _evaluate([0, 1, 1, 0], [1.0, 0.0, 1.0, 0.0])

    # 2**-23 is the machine epsilon of float32; two of four rows are right.
    assert found.figures["log_loss"].value == pytest.approx(23 * math.log(2) / 2, abs=1e-6)


def test_perfect_separation() -> None:
    figures = _evaluate([0, 0, 1, 1], [0.0, 0.0, 1.0, 1.0]).figures

    assert [figures[name].value for name in FIGURES[:5]] == [1.0] * 5
    assert figures["calibration_error"] == Figure(0.0, 0.0, 0.0)
    assert figures["roc_auc"] == Figure(1.0, 1.0, 1.0)
    assert figures["accuracy"].low == pytest.approx(0.5101, abs=1e-4)


@pytest.mark.parametrize(
    ("labels", "probabilities"),
    [([0, 1], [0.2, 0.3]), ([0, 0, 1], [0.7, 0.8, 0.1]), ([0, 1], [0.5, 0.5])],
    ids=["never positive", "all wrong", "undecided"],
)
def test_no_figure_is_ever_nan(labels: list[int], probabilities: list[float]) -> None:
    for name, figure in _evaluate(labels, probabilities).figures.items():
        assert all(map(math.isfinite, (figure.value, figure.low, figure.high))), name
        assert figure.low <= figure.value <= figure.high, name


def test_precision_without_a_positive_call_is_zero_and_unknown() -> None:
    figures = _evaluate([0, 1], [0.2, 0.3]).figures

    assert figures["precision"] == Figure(0.0, 0.0, 1.0)
    assert figures["f1"].value == 0.0


def test_length_slices() -> None:
    found = _evaluate(LABELS * LEAST_ROWS, PROBABILITIES * LEAST_ROWS, TOKENS * LEAST_ROWS)

    assert [(part.name, part.rows, part.positives) for part in found.by_length] == [
        ("0-50", 2 * LEAST_ROWS, 0),
        ("51-100", LEAST_ROWS, 0),
        ("101-200", LEAST_ROWS, 0),
        ("201-300", 2 * LEAST_ROWS, LEAST_ROWS),
        ("501+", 2 * LEAST_ROWS, 2 * LEAST_ROWS),
    ]
    shortest = found.by_length[0]
    assert astuple(shortest.accuracy) == pytest.approx((1.0, 0.9398, 1.0), abs=1e-4)
    assert shortest.log_loss == pytest.approx(-math.log(0.95 * 0.9) / 2, abs=1e-6)
    assert shortest.mean_probability == pytest.approx(0.075)
    assert found.by_length[3].accuracy.value == 0.0


def test_longest_slices_meet_between_500_and_501() -> None:
    found = _evaluate([0, 1] * LEAST_ROWS, [0.1, 0.9] * LEAST_ROWS, [500, 501] * LEAST_ROWS)

    assert [part.name for part in found.by_length] == ["301-500", "501+"]


def test_a_length_slice_of_few_rows_is_left_out() -> None:
    labels = [0, 1] * LEAST_ROWS
    lengths = [10] * (LEAST_ROWS - 1) + [600] * (LEAST_ROWS + 1)
    found = _evaluate(labels, [0.1, 0.9] * LEAST_ROWS, lengths)

    assert [(part.name, part.rows) for part in found.by_length] == [("501+", LEAST_ROWS + 1)]


def test_worst_rows_are_the_most_confidently_wrong() -> None:
    found = _evaluate(LABELS, PROBABILITIES)

    assert [(wrong.row, wrong.label) for wrong in found.worst] == [(4, 0), (5, 1), (3, 0)]
    assert [wrong.probability for wrong in found.worst] == pytest.approx([0.8, 0.3, 0.5])


def test_equally_wrong_rows_stay_in_order_and_twenty_are_kept() -> None:
    found = _evaluate([0, 1] * 30, [0.75, 0.25] * 30)

    assert [wrong.row for wrong in found.worst] == list(range(20))


def test_histogram_by_label() -> None:
    found = _evaluate([0, 0, 1, 1], [0.01, 0.51, 0.97, 1.0])

    assert found.histogram.negatives == (1, *[0] * 9, 1, *[0] * 9)
    assert found.histogram.positives == (*[0] * 19, 2)


def test_roc_by_hand() -> None:
    curve = _evaluate([0, 1, 0, 1], [0.1, 0.4, 0.6, 0.9]).roc

    assert curve.false_positive_rate == (0.0, 0.0, 0.5, 0.5, 1.0)
    assert curve.true_positive_rate == (0.0, 0.5, 0.5, 1.0, 1.0)


def test_roc_is_thinned_and_keeps_its_shape() -> None:
    found = evaluate(*_random(5_000), data={}, model={})
    x, y = found.roc.false_positive_rate, found.roc.true_positive_rate

    assert 100 < len(x) == len(y) <= 200
    assert ((x[0], y[0]), (x[-1], y[-1])) == ((0.0, 0.0), (1.0, 1.0))
    assert list(x) == sorted(x)
    assert list(y) == sorted(y)
    assert np.trapezoid(y, x) == pytest.approx(found.figures["roc_auc"].value, abs=1e-3)


def test_round_trip_through_json() -> None:
    history = [{"epoch": 1, "loss": 0.5, "accuracy": 0.8, "val_loss": None, "seconds": 2.5}]
    found = _evaluate(
        LABELS, PROBABILITIES, TOKENS, data={"left_out": {"empty": 2}}, history=history
    )

    again = Evaluation.from_dict(json.loads(json.dumps(found.to_dict(), allow_nan=False)))

    assert again == found
    assert again.data == {"left_out": {"empty": 2}}
    assert again.history == tuple(history)


def test_same_arguments_same_evaluation() -> None:
    first, second = (evaluate(*_random(500), data={}, model={}).to_dict() for _ in range(2))

    assert json.dumps(first) == json.dumps(second)


@pytest.mark.parametrize("version", [0, 2, "1", None])
def test_another_schema_version_is_refused(version: object) -> None:
    values = _evaluate(LABELS, PROBABILITIES).to_dict() | {"schema_version": version}

    with pytest.raises(
        BundleError, match=rf"must have schema version 1\. This one has {version!r}\. Evaluate"
    ):
        Evaluation.from_dict(values)


@pytest.mark.parametrize(
    ("change", "received"),
    [
        ({"confusion": {"true_negatives": 1}}, "missing 3 required"),
        ({"worst": [{"row": 1, "label": 0, "probability": 0.9, "text": "x"}]}, "'text'"),
        ({"roc": None}, "'items'"),
    ],
)
def test_a_damaged_evaluation_is_refused(change: dict[str, Any], received: str) -> None:
    values = _evaluate(LABELS, PROBABILITIES).to_dict() | change

    with pytest.raises(BundleError, match=rf"Reading this one failed: .*{received}"):
        Evaluation.from_dict(values)


def test_a_missing_key_is_named() -> None:
    values = _evaluate(LABELS, PROBABILITIES).to_dict()
    del values["figures"]

    with pytest.raises(BundleError, match="Reading this one failed: 'figures'"):
        Evaluation.from_dict(values)


@pytest.mark.parametrize(
    ("labels", "probabilities", "message"),
    [
        ([], [], "negative and positive reviews. There are 0 negative and 0 positive ones"),
        ([1, 1], [0.5, 0.6], "There are 0 negative and 2 positive ones"),
        ([0, 1, -1], [0.1, 0.2, 0.3], "1 of 3 are neither"),
        ([0, 1], [0.1, math.nan], "1 of 2 are not"),
        ([0, 1], [-0.01, 1.01], "2 of 2 are not"),
        ([0, 1], [0.1, math.inf], "1 of 2 are not"),
        ([0, 1], [0.1, 0.2, 0.3], r"Their shapes are \(2,\), \(3,\), \(2,\)"),
    ],
)
def test_unfit_arrays_are_refused(
    labels: list[int], probabilities: list[float], message: str
) -> None:
    with pytest.raises(BadDataError, match=message):
        _evaluate(labels, probabilities)


def test_a_column_of_probabilities_is_refused() -> None:
    column = np.full((2, 1), 0.5, dtype=np.float32)

    with pytest.raises(BadDataError, match=r"must be one-dimensional .*\. Their shapes are"):
        evaluate(
            np.array([[0], [1]], dtype=np.int8), column, np.ones((2, 1), int), data={}, model={}
        )


@pytest.mark.parametrize(
    "values",
    [
        {"data": {"rows": np.int64(3)}},
        {"model": {"path": object()}},
        {"history": [{"epoch": 1, "loss": math.nan}]},
    ],
    ids=["NumPy number", "object", "NaN"],
)
def test_only_plain_values_are_taken(values: dict[str, Any]) -> None:
    with pytest.raises(BadDataError, match=r"must be plain JSON values\. They are not: "):
        _evaluate(LABELS, PROBABILITIES, **values)


def test_kinds_of_text_are_counted_apart() -> None:
    short, product = evaluate_kinds(
        ["short", "product", "short", "short"],
        np.array([1, 0, 0, 1]),
        np.array([0.5, 0.2, 0.7, 0.9], np.float32),
    )[::-1]
    assert (product.name, product.rows, product.positives) == ("product", 1, 0)
    assert (short.name, short.rows, short.positives) == ("short", 3, 2)
    assert product.accuracy.value == 1
    # Half is positive, as everywhere.
    assert short.accuracy.value == pytest.approx(2 / 3)
    assert 0 < short.accuracy.low < 2 / 3 < short.accuracy.high < 1
