"""The decision whether a new model may replace the champion, and the checks it is based on."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Final, Self

from imdb_classifier.errors import ConfigurationError, counted, listed
from imdb_classifier.evaluation.behavior.judgment import Behavior
from imdb_classifier.evaluation.behavior.losses import BehaviorComparison
from imdb_classifier.evaluation.comparison import Comparison, LabelChanges, OwnComparison
from imdb_classifier.evaluation.result import Evaluation
from imdb_classifier.settings import limits_of
from imdb_classifier.version import __version__

DECISION_SCHEMA_VERSION: Final = 1
SIGNIFICANCE: Final = 0.05
"""Significance level of McNemar's test on slices; divided by their number (Bonferroni)."""
_MOST_NAMED: Final = 10
"""Failed checks that the reason names; a model can fail on every capability."""
LEAST_OWN_ROWS: Final = 100
"""A set of fewer reviews says too little: the interval of its accuracy reaches 10 points."""


@dataclass(frozen=True)
class OwnGates:
    """Limits that a model must meet on one set of the user's own labeled reviews.

    Attributes:
        accuracy: Minimum share of its rows labeled correctly; 0 requires none.
        accuracy_lost: As in `Gates`.
        accuracy_gained: As in `Gates`.
        learned: Maximum share of its rows that the model was trained on, labeled or not.
    """

    accuracy: float = 0.0
    accuracy_lost: float = 0.005
    accuracy_gained: float = 0.0
    learned: float = 0.03


@dataclass(frozen=True)
class Gates:
    """Limits that a model must meet to be promoted.

    Attributes:
        accuracy: Minimum share of the test rows labeled correctly.
        log_loss: Maximum log loss, in nats per row.
        calibration_error: Maximum expected calibration error.
        accuracy_lost: Margin of non-inferiority: the 95 % interval of the difference to the
            accuracy of champion and reference must not reach below this loss.
        accuracy_gained: Minimum gain over the champion's accuracy; 0 requires none.
        label_changes: Maximum share of the rows of an unlabeled batch that get another label than
            from the champion.
        learned: Maximum share of the test rows that the model was trained on, labeled or not. They
            are left out of comparisons.
        behavior_lost: Maximum loss against champion and reference in the share of passed cases of
            any capability of the behavior suite.
        own_sets: Limits on sets of the user's own labeled reviews, by name.
    """

    accuracy: float = 0.8
    log_loss: float = 0.5
    calibration_error: float = 0.1
    accuracy_lost: float = 0.005
    accuracy_gained: float = 0.0
    label_changes: float = 0.1
    learned: float = 0.03
    behavior_lost: float = 0.25
    own_sets: Mapping[str, OwnGates] = field(default_factory=dict)

    @classmethod
    def of(cls, limits: Mapping[str, float], own_sets: Collection[str] = ()) -> Self:
        """Return the given gates, and defaults for the others.

        Args:
            limits: Limits by name. The limits of an own set begin with its name and a dot:
                ``NAME.accuracy``, ``NAME.accuracy_lost``, ``NAME.accuracy_gained`` and
                ``NAME.learned``.
            own_sets: The names of the own sets.

        Raises:
            ConfigurationError: There is no gate or own set of that name, or its value is not at
                least 0, or that of a share above 1.
        """
        general, own = dict[str, float](), dict[str, dict[str, float]]()
        for name, limit in limits.items():
            own_set, dot, gate = name.partition(".")
            if not dot:
                general[name] = limit
            elif own_set in own_sets:
                own.setdefault(own_set, {})[gate] = limit
            else:
                raise ConfigurationError(
                    "A gate with a dot in its name must be of one of your own sets: NAME.accuracy.",
                    f"{name}={limit} is not; the sets are: {listed(own_sets)}.",
                    "Correct it in `gates`, or name the set in `gate_on`.",
                )
        shares = [gate.name for gate in fields(cls) if gate.name != "log_loss"]
        gates = limits_of(cls, general, called="The gates", parameter="gates", shares=shares)
        return replace(
            gates,
            own_sets={
                name: limits_of(
                    OwnGates,
                    {
                        "accuracy_lost": gates.accuracy_lost,
                        "learned": gates.learned,
                        **own.get(name, {}),
                    },
                    called=f"The gates of the own set '{name}'",
                    parameter="gates",
                    shares=[gate.name for gate in fields(OwnGates)],
                )
                for name in own_sets
            },
        )

    def on(self, own_set: str) -> OwnGates:
        """Return the gates of an own set: by default, the margin and the share of all rows."""
        return self.own_sets.get(own_set) or OwnGates(
            accuracy_lost=self.accuracy_lost, learned=self.learned
        )


@dataclass(frozen=True)
class Check:
    """The result of one promotion check.

    Attributes:
        name: What was checked.
        passed: Whether the model passed.
        found: What was found and what is required, as a sentence.
    """

    name: str
    passed: bool
    found: str


@dataclass(frozen=True)
class Decision:
    """Whether a model is promoted, and the evidence.

    Attributes:
        promote: Whether the model is promoted.
        reason: The decision as one sentence, and what was unusual about it.
        challenger: The new model's id.
        champion: The id of the champion that it was compared with.
        checks: The results of all checks.
        overall: Both models compared on the test rows that neither was trained on; on all of them
            if there are none.
        slices: Both models compared on slices of these rows.
        reference: The new model compared with a fixed one in the same way; None if that is one of
            the two.
        label_changes: What would change in an unlabeled batch, or None if no batch was given.
        data: A description of the test rows, as in `Evaluation.data`.
        own_sets: Both models compared on sets of the user's own labeled reviews.
        package_version: The version of this package.
    """

    promote: bool
    reason: str
    challenger: str
    champion: str
    checks: tuple[Check, ...]
    overall: Comparison
    slices: tuple[Comparison, ...]
    reference: Comparison | None
    label_changes: LabelChanges | None
    data: Mapping[str, Any]
    own_sets: tuple[OwnComparison, ...] = ()
    package_version: str = __version__

    def to_dict(self) -> dict[str, Any]:
        """Return the decision as plain JSON values."""
        return {"schema_version": DECISION_SCHEMA_VERSION, **asdict(self)}


def decide(
    challenger: Evaluation,
    champion: Evaluation,
    overall: Comparison,
    slices: tuple[Comparison, ...],
    gates: Gates,
    reference: Comparison | None = None,
    label_changes: LabelChanges | None = None,
    further: tuple[Check, ...] = (),
    notes: Sequence[str] = (),
    own_sets: tuple[OwnComparison, ...] = (),
    behavior: tuple[BehaviorComparison, ...] = (),
) -> Decision:
    """Decide whether a model is promoted: it must pass every check.

    Args:
        challenger: The new model's evaluation on all test rows.
        champion: The champion's evaluation on the same rows.
        overall: See `Decision`.
        slices: See `Decision`.
        gates: Limits that the model must meet.
        reference: See `Decision`.
        label_changes: What would change in an unlabeled batch, if there is one.
        further: Results of checks made elsewhere.
        notes: What was unusual about the comparison, as sentences.
        own_sets: See `Decision`.
        behavior: The new model compared on the behavior suite with the champion, and with the fixed
            model.
    """
    checks = (
        *_absolute(challenger, gates),
        _few_learned(challenger, gates.learned),
        _not_inferior(overall, gates.accuracy_lost, gates.accuracy_gained),
        *([_not_inferior(reference, gates.accuracy_lost)] if reference else []),
        *(_not_worse(part, SIGNIFICANCE / len(slices)) for part in slices),
        *(check for own in own_sets for check in _on_own_set(own, gates.on(own.result.name))),
        *([_few_label_changes(label_changes, gates.label_changes)] if label_changes else []),
        *_behaves(challenger.behavior, behavior, gates),
        *further,
    )
    failed = [check for check in checks if not check.passed]
    ours, theirs = challenger.model["id"], champion.model["id"]
    comparison = (
        f"Challenger {ours} labels {overall.challenger_accuracy:.2%} of {overall.rows:,} test rows "
        f"correctly, champion {theirs} {overall.champion_accuracy:.2%}"
    )
    for own in own_sets:
        comparison += (
            f"; of {counted(own.champion.rows, 'row')} of {own.champion.name} "
            f"{own.champion.challenger_accuracy:.2%} and {own.champion.champion_accuracy:.2%}"
        )
    verdict = (
        f"refused (failed: {listed((check.name for check in failed), _MOST_NAMED)})"
        if failed
        else "promoted"
    )
    return Decision(
        promote=not failed,
        reason=" ".join([f"{comparison}: {verdict}.", *notes]),
        challenger=ours,
        champion=theirs,
        checks=checks,
        overall=overall,
        slices=slices,
        reference=reference,
        label_changes=label_changes,
        data=challenger.data,
        own_sets=own_sets,
    )


def _absolute(challenger: Evaluation, gates: Gates) -> tuple[Check, ...]:
    figures = {name: figure.value for name, figure in challenger.figures.items()}
    accuracy, loss, gap = (figures[n] for n in ("accuracy", "log_loss", "calibration_error"))
    return (
        Check(
            "accuracy",
            accuracy >= gates.accuracy,
            f"{accuracy:.2%} of the test rows are labeled correctly; at least "
            f"{gates.accuracy:.2%} is required.",
        ),
        Check(
            "log loss",
            loss <= gates.log_loss,
            f"{loss:.3f} nats per row; at most {gates.log_loss:.3f} is allowed.",
        ),
        Check(
            "calibration error",
            gap <= gates.calibration_error,
            f"{gap:.3f}; at most {gates.calibration_error:.3f} is allowed.",
        ),
    )


def _few_learned(challenger: Evaluation, most: float) -> Check:
    learned: int = challenger.data["learned"]
    share = learned / challenger.rows
    return Check(
        "unseen test rows",
        share <= most,
        f"The model was trained on {learned:,} of {counted(challenger.rows, 'test row')} "
        f"({share:.2%}); at most {most:.2%} is allowed.",
    )


def _on_own_set(own: OwnComparison, gates: OwnGates) -> tuple[Check, ...]:
    """Check a model on one of the user's own sets."""
    result, name = own.result, own.champion.name
    share, least = result.learned / result.rows, gates.accuracy
    checks = [
        Check(
            f"{name}: unseen rows",
            share <= gates.learned and result.unseen >= LEAST_OWN_ROWS,
            f"The model was trained on {result.learned:,} of {counted(result.rows, 'row')} "
            f"({share:.2%}); at most {gates.learned:.2%} is allowed. Neither model was trained on "
            f"{result.unseen:,}; at least {LEAST_OWN_ROWS} are required.",
        )
    ]
    if least:
        checks.append(
            Check(
                f"{name}: accuracy",
                result.accuracy.value >= least,
                f"{result.accuracy.value:.2%} of the rows are labeled correctly; at least "
                f"{least:.2%} is required.",
            )
        )
    close = [_not_inferior(own.champion, gates.accuracy_lost, gates.accuracy_gained)]
    if own.reference:
        close.append(_not_inferior(own.reference, gates.accuracy_lost))
    if 0 < gates.accuracy_lost * result.unseen < 1:
        too_few = (
            f" One of {counted(result.unseen, 'row')} is more than that: label more reviews, or "
            f"allow a larger loss with the gate {result.name}.accuracy_lost."
        )
        close = [
            check if check.passed else replace(check, found=check.found + too_few)
            for check in close
        ]
    return (*checks, *close)


def _few_label_changes(changes: LabelChanges, most: float) -> Check:
    return Check(
        "label changes",
        changes.share <= most,
        f"{changes.share:.2%} of {counted(changes.rows, 'unlabeled row')} would get another "
        f"label; at most {most:.2%} is allowed.",
    )


def _behaves(
    ours: Behavior | None, beside: Sequence[BehaviorComparison], gates: Gates
) -> Iterator[Check]:
    """Check that no capability gets lost; each one that does fails a check of its own."""
    if ours is None:
        return
    share = ours.learned / ours.texts
    yield Check(
        "unseen texts of the behavior suite",
        share <= gates.learned,
        f"The model was trained on {ours.learned:,} of {ours.texts:,} ({share:.2%}), which are "
        f"left out; at most {gates.learned:.2%} is allowed.",
    )
    for compared in beside:
        other = compared.other
        called = "behavior" if other == "champion" else f"behavior beside the {other}"
        failed = compared.lost(gates.behavior_lost)
        for name, what in failed.items():
            yield Check(f"{called}: {name}", False, what)
        if not failed:
            largest = max([0.0, *compared.losses.values()])
            found = (
                f"The largest loss of a capability against the {other} is {100 * largest:.1f} "
                f"points; at most {100 * gates.behavior_lost:.1f} points are allowed."
            )
            if compared.ours.learned:
                found += (
                    f" Cases with {counted(compared.ours.learned, 'text')} that either was trained "
                    "on are left out."
                )
            yield Check(called, True, found)


def _not_inferior(part: Comparison, most_lost: float, least_gained: float = 0.0) -> Check:
    """Check that the new model is not inferior to the other one, or better by at least a gain.

    Source: G. Piaggio, D. R. Elbourne, S. J. Pocock, S. J. W. Evans, D. G. Altman, Reporting of
    noninferiority and equivalence randomized trials, JAMA 308 (2012), 2594-2604: the interval of
    the difference must not reach below the margin.
    """
    is_close = part.low >= -most_lost
    found = (
        f"{_in_words(part)}, which {'rules' if is_close else 'does not rule'} out a loss of more "
        f"than {100 * most_lost:.2f} points."
    )
    if least_gained:
        found += f" A gain of at least {100 * least_gained:.2f} points is required."
    has_gained = not least_gained or part.difference >= least_gained
    return Check(part.name, is_close and has_gained, found)


def _not_worse(part: Comparison, significance: float) -> Check:
    """Check that the new model's accuracy is not significantly below the champion's."""
    return Check(
        part.name,
        part.difference >= 0 or part.p_value >= significance,
        f"{_in_words(part)}, p = {part.p_value:.3f} (significant below {significance:.3f}).",
    )


def _in_words(part: Comparison) -> str:
    return (
        f"{part.challenger_accuracy:.2%} of {counted(part.rows, 'row')} labeled correctly, "
        f"{part.champion_accuracy:.2%} by the other model: {100 * part.difference:+.2f} points "
        f"(95 % interval {100 * part.low:+.2f} to {100 * part.high:+.2f})"
    )
