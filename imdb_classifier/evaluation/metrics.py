"""Evaluation of a model's probabilities against labels.

It works on numbers; it needs neither models nor texts.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from imdb_classifier.errors import BadDataError, MissingExtraError
from imdb_classifier.evaluation import intervals
from imdb_classifier.evaluation.behavior.judgment import Behavior
from imdb_classifier.evaluation.result import (
    EVALUATION_SCHEMA_VERSION,
    CalibrationBin,
    Confusion,
    Coverage,
    CoveragePoint,
    CoverageTarget,
    Evaluation,
    Figure,
    KindSlice,
    LengthSlice,
    RocCurve,
    WrongRow,
)
from imdb_classifier.evaluation.slices import LEAST_ROWS
from imdb_classifier.schema import THRESHOLD, ScoreHistogram, confidences
from imdb_classifier.text.batch_profile import LENGTH_EDGES, SCORE_BINS, BatchProfile

CALIBRATION_BINS: Final = 15
ROC_POINTS: Final = 200
WORST_ROWS: Final = 20
ACCURACY_TARGETS: Final = (0.95, 0.98, 0.99)
COVERAGE_POINTS: Final = 50
LEAST_COVERED: Final = 100
"""Reviews that must be as accurate as wanted, at the least, for a confidence to count."""
_CLIPPED: Final = (2.0**-23, 1 - 2.0**-23)


def evaluate(
    labels: NDArray[np.integer[Any]],
    probabilities: NDArray[np.floating[Any]],
    word_counts: NDArray[np.integer[Any]],
    *,
    data: Mapping[str, Any],
    model: Mapping[str, Any],
    history: Iterable[Mapping[str, Any]] = (),
    by_kind: tuple[KindSlice, ...] = (),
    profile: BatchProfile | None = None,
    behavior: Behavior | None = None,
) -> Evaluation:
    """Evaluate probabilities; from `schema.THRESHOLD` on, a row is predicted positive.

    The metrics are scikit-learn's; the intervals come from `intervals`: Wilson for accuracy,
    precision and recall, DeLong for the area under the ROC curve, normal for log loss and Brier
    score, bootstrap for F1 and calibration error. For the log loss, probabilities are clipped to
    [2**-23, 1 - 2**-23], which is scikit-learn's rule for float32. A model that never predicts
    positive has precision 0 with the interval [0, 1], and F1 0.

    Args:
        labels: int8 (rows,), 0 negative, 1 positive; both must occur.
        probabilities: float32 (rows,), of positive, in [0, 1].
        word_counts: int (rows,), length of each review in words before truncation.
        data: Plain JSON values that describe what was evaluated.
        model: Plain JSON values that describe the model.
        history: Plain JSON values, one dict per epoch of training.
        by_kind: The result of `evaluate_kinds` for other texts.
        profile: The batch profile of the rows.
        behavior: Results of the behavior suite.

    Returns:
        The evaluation, which is the same for the same arguments.

    Raises:
        MissingExtraError: scikit-learn is not installed.
        BadDataError: The arrays differ in length, labels are not 0 and 1 or only one of them
            occurs, probabilities are outside [0, 1] or not finite, or data, model or history are
            not plain JSON values.
    """
    try:
        from sklearn import metrics
    except ModuleNotFoundError as error:
        raise MissingExtraError("Evaluation", "scikit-learn", "train") from error
    _check(labels, probabilities, word_counts)
    provenance = _plain({"data": data, "model": model, "history": list(history)})

    truth = labels.astype(np.int64)
    scores = probabilities.astype(np.float64)
    called = (scores >= THRESHOLD).astype(np.int64)
    right = called == truth
    clipped = np.clip(scores, *_CLIPPED)
    losses = _losses(truth, scores)
    tn, fp, fn, tp = (int(count) for count in metrics.confusion_matrix(truth, called).ravel())

    bins = np.minimum((scores * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)
    cells = 2 * bins + truth
    counts = np.bincount(cells, minlength=2 * CALIBRATION_BINS).reshape(-1, 2)
    sums = np.bincount(cells, scores, 2 * CALIBRATION_BINS).astype(np.float64).reshape(-1, 2)

    estimates: dict[str, tuple[float, intervals.Interval]] = {
        "accuracy": (metrics.accuracy_score(truth, called), intervals.wilson(tp + tn, len(truth))),
        "precision": (
            metrics.precision_score(truth, called, zero_division=0.0),
            intervals.wilson(tp, tp + fp),
        ),
        "recall": (metrics.recall_score(truth, called), intervals.wilson(tp, tp + fn)),
        "f1": (metrics.f1_score(truth, called, zero_division=0.0), intervals.f1(tn, fp, fn, tp)),
        "roc_auc": (
            metrics.roc_auc_score(truth, scores),
            intervals.roc_auc(scores[truth == 1], scores[truth == 0]),
        ),
        "log_loss": (metrics.log_loss(truth, clipped), intervals.mean(losses)),
        "brier_score": (
            metrics.brier_score_loss(truth, scores),
            intervals.mean((scores - truth) ** 2, highest=1.0),
        ),
        "calibration_error": (
            float(intervals.expected_calibration_error(counts, sums)),
            intervals.calibration_error(counts, sums),
        ),
    }
    wrong = np.flatnonzero(~right)
    # Stable, so that equally wrong rows stay in row order.
    worst = wrong[np.argsort(-np.abs(scores - truth)[wrong], kind="stable")[:WORST_ROWS]]
    return Evaluation(
        schema_version=EVALUATION_SCHEMA_VERSION,
        rows=len(truth),
        positives=tp + fn,
        figures={
            name: Figure(float(value), *interval) for name, (value, interval) in estimates.items()
        },
        confusion=Confusion(tn, fp, fn, tp),
        by_length=_by_length(truth, scores, right, losses, word_counts),
        calibration=_calibration(counts, sums),
        roc=_thinned(*metrics.roc_curve(truth, scores)[:2]),
        histogram=ScoreHistogram(
            *(
                tuple(np.histogram(scores[truth == label], SCORE_BINS, (0, 1))[0].tolist())
                for label in (0, 1)
            )
        ),
        worst=tuple(WrongRow(int(i), int(truth[i]), float(scores[i])) for i in worst),
        by_kind=by_kind,
        data=provenance["data"],
        model=provenance["model"],
        history=tuple(provenance["history"]),
        profile=profile,
        coverage=measure_coverage(probabilities, right),
        behavior=behavior,
    )


def measure_coverage(
    probabilities: NDArray[np.floating[Any]], right: NDArray[np.bool_]
) -> Coverage:
    """Measure how many reviews can be labeled at `ACCURACY_TARGETS`, and at which confidence.

    A confidence chosen on the very reviews that it is measured on would look better than it is. So
    it is chosen on one half of the reviews, drawn at random: the lowest, in steps of 0.001, with
    which this half reaches the accuracy. Coverage and accuracy are those of the other half.

    Args:
        probabilities: Those of positive, (rows,), in [0, 1].
        right: Whether each review is labeled correctly, (rows,).
    """
    confidence = confidences(probabilities.astype(np.float32))
    steps = np.arange(500, 1001) / 1000
    order = np.random.default_rng(0).permutation(len(right))
    halves = order[: len(order) // 2], order[len(order) // 2 :]
    (covered, hits), (new, new_hits) = (
        _at_least(confidence[half], right[half], steps) for half in halves
    )
    targets = []
    for target in ACCURACY_TARGETS:
        reached = (hits >= target * covered) & (covered >= LEAST_COVERED)
        at = int(reached.argmax())
        if not reached[at] or not new[at]:
            targets.append(CoverageTarget(target))
            continue
        count, count_right = int(new[at]), int(new_hits[at])
        targets.append(
            CoverageTarget(
                target,
                float(steps[at]),
                _share(count, len(halves[1])),
                _share(count_right, count),
            )
        )
    falling = np.sort(confidence)[::-1]
    ends = np.linspace(0, len(falling), COVERAGE_POINTS + 1).astype(np.int64)[1:] - 1
    thresholds = np.unique(falling[np.maximum(ends, 0)])[::-1]
    curve = zip(thresholds, *_at_least(confidence, right, thresholds), strict=True)
    return Coverage(
        tuple(CoveragePoint(float(t), int(n) / len(right), int(k) / int(n)) for t, n, k in curve),
        tuple(targets),
    )


def _at_least(
    confidence: NDArray[np.float32], right: NDArray[np.bool_], thresholds: NDArray[Any]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return how many labels have at least each confidence, and how many of them are right."""
    order = np.argsort(confidence, kind="stable")
    begins = np.searchsorted(confidence[order], thresholds.astype(np.float32))
    right_from = np.append(np.cumsum(right[order][::-1])[::-1], 0)
    return len(order) - begins, right_from[begins]


def evaluate_kinds(
    kinds: Sequence[str],
    labels: NDArray[np.integer[Any]],
    probabilities: NDArray[np.floating[Any]],
) -> tuple[KindSlice, ...]:
    """Compute the accuracy on each kind of text.

    Args:
        kinds: (rows,), the kind of each text.
        labels: int (rows,), 0 negative, 1 positive.
        probabilities: float32 (rows,), of positive.

    Returns:
        One slice per kind, in alphabetical order.
    """
    names, index = np.unique(np.asarray(kinds), return_inverse=True)
    right = (probabilities >= THRESHOLD) == (labels == 1)
    rows, hits, positives = (
        np.bincount(index, weights, minlength=len(names)) for weights in (None, right, labels)
    )
    return tuple(
        KindSlice(str(name), int(rows[i]), int(positives[i]), _share(int(hits[i]), int(rows[i])))
        for i, name in enumerate(names)
    )


def accuracy_and_log_loss(
    labels: NDArray[np.integer[Any]], probabilities: NDArray[np.floating[Any]]
) -> tuple[Figure, Figure]:
    """Compute the accuracy and the log loss of some rows, as `evaluate` does.

    Args:
        labels: int (rows,), 0 negative, 1 positive; at least two rows.
        probabilities: float32 (rows,), of positive.
    """
    truth, scores = labels.astype(np.int64), probabilities.astype(np.float64)
    losses = _losses(truth, scores)
    return (
        _share(int(np.count_nonzero((scores >= THRESHOLD) == (truth == 1))), len(truth)),
        Figure(float(losses.mean()), *intervals.mean(losses)),
    )


def _losses(truth: NDArray[np.int64], scores: NDArray[np.float64]) -> NDArray[np.float64]:
    clipped = np.clip(scores, *_CLIPPED)
    losses: NDArray[np.float64] = -np.log(np.where(truth == 1, clipped, 1 - clipped))
    return losses


def _check(
    labels: NDArray[np.integer[Any]],
    probabilities: NDArray[np.floating[Any]],
    word_counts: NDArray[np.integer[Any]],
) -> None:
    shapes = [labels.shape, probabilities.shape, word_counts.shape]
    if labels.ndim != 1 or len(set(shapes)) > 1:
        raise BadDataError(
            "Labels, probabilities and word counts must be one-dimensional and equally long.",
            f"Their shapes are {', '.join(map(str, shapes))}.",
            "Pass one of each per review.",
        )
    negatives, positives = (int(np.count_nonzero(labels == label)) for label in (0, 1))
    if negatives + positives < len(labels):
        raise BadDataError(
            "Labels must be 0 (negative) or 1 (positive).",
            f"{len(labels) - negatives - positives} of {len(labels)} are neither.",
            "Leave out unlabeled reviews.",
        )
    if not negatives or not positives:
        raise BadDataError(
            "An evaluation needs both negative and positive reviews.",
            f"There are {negatives} negative and {positives} positive ones.",
            "Evaluate on a split that has both, such as test.",
        )
    # Comparisons with NaN are False, so this counts NaN, too.
    outside = int(np.count_nonzero(~((probabilities >= 0) & (probabilities <= 1))))
    if outside:
        raise BadDataError(
            "Probabilities must be finite numbers from 0 to 1.",
            f"{outside} of {len(probabilities)} are not.",
            "Leave out reviews without a score, and check that training did not diverge.",
        )


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    try:
        # Sorted as in the JSON report, so that a page rendered from either one is the same.
        plain: dict[str, Any] = json.loads(json.dumps(values, allow_nan=False, sort_keys=True))
    except (TypeError, ValueError) as error:
        raise BadDataError(
            "data, model and history must be plain JSON values.",
            f"They are not: {error}.",
            "Use strings, finite Python numbers, booleans, None, and lists and dicts of them.",
        ) from error
    return plain


def _share(successes: int, trials: int) -> Figure:
    return Figure(successes / trials, *intervals.wilson(successes, trials))


def _by_length(
    truth: NDArray[np.int64],
    scores: NDArray[np.float64],
    right: NDArray[np.bool_],
    losses: NDArray[np.float64],
    word_counts: NDArray[np.integer[Any]],
) -> tuple[LengthSlice, ...]:
    lowest = (0, *(edge + 1 for edge in LENGTH_EDGES))
    names = [f"{low}-{edge}" for low, edge in zip(lowest, LENGTH_EDGES, strict=False)]
    names.append(f"{lowest[-1]}+")
    index = np.searchsorted(LENGTH_EDGES, word_counts)
    rows, hits, positives, loss_sums, score_sums = (
        np.bincount(index, weights, minlength=len(names))
        for weights in (None, right, truth, losses, scores)
    )
    return tuple(
        LengthSlice(
            name=name,
            rows=int(rows[i]),
            positives=int(positives[i]),
            accuracy=_share(int(hits[i]), int(rows[i])),
            log_loss=float(loss_sums[i] / rows[i]),
            mean_probability=float(score_sums[i] / rows[i]),
        )
        for i, name in enumerate(names)
        if rows[i] >= LEAST_ROWS
    )


def _calibration(
    counts: NDArray[np.int64], sums: NDArray[np.float64]
) -> tuple[CalibrationBin, ...]:
    rows = counts.sum(axis=1)
    return tuple(
        CalibrationBin(
            low=i / len(rows),
            high=(i + 1) / len(rows),
            rows=int(rows[i]),
            mean_probability=float(sums[i].sum() / rows[i]),
            positive_share=Figure(
                float(counts[i, 1] / rows[i]),
                *intervals.wilson(int(counts[i, 1]), int(rows[i])),
            ),
        )
        for i in range(len(rows))
        if rows[i]
    )


def _thinned(
    false_positive_rate: NDArray[np.float64], true_positive_rate: NDArray[np.float64]
) -> RocCurve:
    # Evenly spaced along the curve, not along one axis, so that no bend is lost.
    length = false_positive_rate + true_positive_rate
    kept = np.unique(np.searchsorted(length, np.linspace(0, length[-1], ROC_POINTS)))
    return RocCurve(
        tuple(false_positive_rate[kept].tolist()),
        tuple(true_positive_rate[kept].tolist()),
    )
