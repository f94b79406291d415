"""The result of an evaluation as plain values: figures with 95 % intervals, slices, calibration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from imdb_classifier.errors import BundleError
from imdb_classifier.evaluation.behavior.judgment import Behavior
from imdb_classifier.schema import ScoreHistogram
from imdb_classifier.text.batch_profile import BatchProfile

EVALUATION_SCHEMA_VERSION: Final = 1


@dataclass(frozen=True)
class Figure:
    """A figure and its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Confusion:
    """Rows by label and prediction."""

    true_negatives: int
    false_positives: int
    false_negatives: int
    true_positives: int


@dataclass(frozen=True)
class LengthSlice:
    """The reviews of one range of lengths, such as ``51-100`` (words).

    Attributes:
        log_loss: Mean, in nats.
        mean_probability: Mean probability of positive, to compare with ``positives / rows``.
    """

    name: str
    rows: int
    positives: int
    accuracy: Figure
    log_loss: float
    mean_probability: float


@dataclass(frozen=True)
class CalibrationBin:
    """The reviews with a probability in [low, high), or [low, 1] in the last bin."""

    low: float
    high: float
    rows: int
    mean_probability: float
    positive_share: Figure


@dataclass(frozen=True)
class RocCurve:
    """Rates at decreasing thresholds, from (0, 0) to (1, 1), at most 200 points."""

    false_positive_rate: tuple[float, ...]
    true_positive_rate: tuple[float, ...]


@dataclass(frozen=True)
class WrongRow:
    """A row that the model labels wrongly; `row` counts from 0 in the order given to `evaluate`."""

    row: int
    label: int
    probability: float


@dataclass(frozen=True)
class KindSlice:
    """A model's accuracy on one kind of text, such as short texts, negations or product reviews.

    Attributes:
        name: The kind of text.
        rows: Number of texts.
        positives: Number of positive texts.
        accuracy: Share of the texts labeled correctly.
    """

    name: str
    rows: int
    positives: int
    accuracy: Figure


@dataclass(frozen=True)
class CoveragePoint:
    """The reviews whose labels have at least some confidence.

    Attributes:
        confidence: The least probability of a label.
        coverage: Share of all reviews.
        accuracy: Share of them labeled correctly.
    """

    confidence: float
    coverage: float
    accuracy: float


@dataclass(frozen=True)
class CoverageTarget:
    """How many reviews can be labeled at an accuracy.

    Attributes:
        target: The accuracy wanted.
        confidence: The lowest confidence with which one half of the reviews is labeled this
            accurately; None if there is none.
        coverage: Share of the other half that has at least this confidence.
        accuracy: Share of those labeled correctly.
    """

    target: float
    confidence: float | None = None
    coverage: Figure | None = None
    accuracy: Figure | None = None


@dataclass(frozen=True)
class Coverage:
    """How accurate the most confident labels are.

    Attributes:
        curve: All reviews, by decreasing confidence.
        targets: By increasing accuracy.
    """

    curve: tuple[CoveragePoint, ...]
    targets: tuple[CoverageTarget, ...]

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Coverage:
        """Return the coverage that ``dataclasses.asdict`` describes."""
        return cls(
            tuple(CoveragePoint(**point) for point in values["curve"]),
            tuple(
                CoverageTarget(
                    found["target"],
                    found["confidence"],
                    *(
                        Figure(**found[name]) if found[name] else None
                        for name in ("coverage", "accuracy")
                    ),
                )
                for found in values["targets"]
            ),
        )


@dataclass(frozen=True)
class PartResult:
    """The result of one part of a model alone, on the same reviews.

    Attributes:
        name: The part, such as ``LSTM alone``; the last one is the model itself.
        accuracy: Share of the reviews labeled correctly.
        log_loss: Mean, in nats.
        added: The accuracy of the model minus that of the part, in [-1, 1]; None for the model.
    """

    name: str
    accuracy: Figure
    log_loss: Figure
    added: Figure | None = None


@dataclass(frozen=True)
class Distinct:
    """The result without reviews that the model may know, and without repetitions.

    Reviews are the same if they differ only in case, punctuation, spaces and HTML tags.

    Attributes:
        rows: Number of reviews that are left.
        repeated: Reviews left out because an earlier one is the same.
        learned: Further reviews left out because the model was trained on them, labeled or not.
        accuracy: Share of the reviews labeled correctly.
        log_loss: Mean, in nats.
    """

    rows: int
    repeated: int
    learned: int
    accuracy: Figure
    log_loss: Figure


@dataclass(frozen=True)
class OwnSet:
    """A model's result on a set of the user's own labeled reviews.

    Attributes:
        name: The name of the set.
        rows: Number of labeled reviews.
        unseen: How many of them neither the model nor the champion was trained on. All figures are
            based on these; on all rows if there are fewer than two.
        learned: How many of them the model was trained on, labeled or not.
        left_out: Rows without text or label, as in `Reviews.left_out`.
        fingerprint: The fingerprint of the reviews, as in `Reviews.fingerprint`.
        accuracy: Share of the reviews labeled correctly.
        log_loss: Mean, in nats.
        champion: The id of the champion; None if that is the model itself, or damaged.
        champion_accuracy: The champion's accuracy on the same rows.
        difference: The model's accuracy minus the champion's, in [-1, 1].
    """

    name: str
    rows: int
    unseen: int
    learned: int
    left_out: Mapping[str, int]
    fingerprint: str
    accuracy: Figure
    log_loss: Figure
    champion: str | None
    champion_accuracy: float | None
    difference: Figure | None


@dataclass(frozen=True)
class Evaluation:
    """The evaluation of one model on one labeled data set: numbers and the caller's plain values.

    Attributes:
        schema_version: Version of the format of `to_dict`.
        rows: Number of reviews.
        positives: Number of positive reviews.
        figures: accuracy, precision, recall, f1, roc_auc, log_loss (nats), brier_score and
            calibration_error (expected calibration error, 15 bins of equal width; see
            `intervals.expected_calibration_error`). Never NaN.
        confusion: At the threshold of `schema.THRESHOLD`.
        by_length: Shortest first; slices of fewer than `slices.LEAST_ROWS` reviews are left out.
        calibration: Lowest bin first; empty bins are left out.
        roc: The ROC curve.
        histogram: Rows by label and probability.
        worst: The 20 most confidently wrong rows, worst first.
        by_kind: Accuracy on other kinds of text, which are not among the reviews.
        data: The caller's description of the reviews: source, split, fingerprint and so on.
        model: The caller's description of the model: id, recipe, seed and so on.
        history: One dict per epoch: epoch, loss, accuracy, val_loss, val_accuracy, seconds.
        profile: Batch profile of the reviews, to compare scored batches with; None if the caller
            gave none.
        coverage: How accurate the most confident labels are; None in evaluations by releases that
            did not compute it.
        behavior: Results of the behavior suite; None in evaluations of earlier releases, or if the
            caller gave none.
        own_sets: Results on sets of the user's own labeled reviews.
        parts: Results of the parts of the model, the model itself last; empty for models of one
            part and in evaluations of earlier releases.
        slices: Accuracy on slices of the reviews by content, such as negated opinions, without
            slices of few reviews; empty in evaluations of earlier releases.
        distinct: The result without repetitions; None in evaluations of earlier releases, or if
            fewer than two reviews are left.
    """

    schema_version: int
    rows: int
    positives: int
    figures: Mapping[str, Figure]
    confusion: Confusion
    by_length: tuple[LengthSlice, ...]
    calibration: tuple[CalibrationBin, ...]
    roc: RocCurve
    histogram: ScoreHistogram
    worst: tuple[WrongRow, ...]
    by_kind: tuple[KindSlice, ...]
    data: Mapping[str, Any]
    model: Mapping[str, Any]
    history: tuple[Mapping[str, Any], ...]
    profile: BatchProfile | None
    coverage: Coverage | None = None
    behavior: Behavior | None = None
    own_sets: tuple[OwnSet, ...] = ()
    parts: tuple[PartResult, ...] = ()
    slices: tuple[KindSlice, ...] = ()
    distinct: Distinct | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the evaluation as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Evaluation:
        """Restore an evaluation from the result of `to_dict`.

        Raises:
            BundleError: The schema version is not this release's, or a key is missing or unknown.
        """
        if values.get("schema_version") != EVALUATION_SCHEMA_VERSION:
            raise BundleError(
                f"An evaluation must have schema version {EVALUATION_SCHEMA_VERSION}.",
                f"This one has {values.get('schema_version')!r}.",
                "Evaluate the model again with this release.",
            )
        try:
            return cls(
                schema_version=EVALUATION_SCHEMA_VERSION,
                rows=values["rows"],
                positives=values["positives"],
                figures={name: Figure(**figure) for name, figure in values["figures"].items()},
                confusion=Confusion(**values["confusion"]),
                by_length=tuple(
                    LengthSlice(**{**part, "accuracy": Figure(**part["accuracy"])})
                    for part in values["by_length"]
                ),
                calibration=tuple(
                    CalibrationBin(**{**part, "positive_share": Figure(**part["positive_share"])})
                    for part in values["calibration"]
                ),
                roc=RocCurve(**{name: tuple(rates) for name, rates in values["roc"].items()}),
                histogram=ScoreHistogram(
                    **{name: tuple(counts) for name, counts in values["histogram"].items()}
                ),
                worst=tuple(WrongRow(**row) for row in values["worst"]),
                by_kind=tuple(
                    KindSlice(**{**part, "accuracy": Figure(**part["accuracy"])})
                    for part in values["by_kind"]
                ),
                data=values["data"],
                model=values["model"],
                history=tuple(values["history"]),
                profile=BatchProfile.from_dict(values["profile"]) if values["profile"] else None,
                coverage=Coverage.from_dict(values["coverage"]) if values.get("coverage") else None,
                behavior=Behavior.from_dict(found) if (found := values.get("behavior")) else None,
                own_sets=tuple(
                    OwnSet(**_with_figures(own, "accuracy", "log_loss", "difference"))
                    for own in values.get("own_sets", ())
                ),
                parts=tuple(
                    PartResult(**_with_figures(part, "accuracy", "log_loss", "added"))
                    for part in values.get("parts", ())
                ),
                slices=tuple(
                    KindSlice(**_with_figures(part, "accuracy"))
                    for part in values.get("slices", ())
                ),
                distinct=Distinct(**_with_figures(found, "accuracy", "log_loss"))
                if (found := values.get("distinct"))
                else None,
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise BundleError(
                "An evaluation must have exactly the keys that this release writes.",
                f"Reading this one failed: {error}.",
                "Evaluate the model again with this release.",
            ) from error


def _with_figures(values: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """Return values of which some are figures, if they are given."""
    return {**values, **{name: values[name] and Figure(**values[name]) for name in names}}
