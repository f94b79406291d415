"""What a model can no longer do that another one can."""

from __future__ import annotations

from imdb_classifier.errors import BadDataError, counted
from imdb_classifier.evaluation.behavior.judgment import Behavior, CapabilityResult


def losses_against(ours: Behavior, theirs: Behavior) -> dict[str, float]:
    """Return what a model loses against another one, by the capabilities of that one.

    Returns:
        The other model's share of passed cases minus that of the model, in [-1, 1], where the model
        can be tested.

    Raises:
        BadDataError: The results are those of different suites.
    """
    if ours.suite != theirs.suite:
        raise BadDataError(
            "Only results of the same behavior suite can be compared.",
            f"These are of the suites {ours.suite} and {theirs.suite}.",
            "Evaluate both models with this release.",
        )
    rates = _by_name(ours)
    # Rounded, so that a loss of exactly the margin is allowed.
    return {
        part.name: round(part.pass_rate - rates[part.name].pass_rate, 9)
        for part in theirs.capabilities
        if part.name in rates
    }


def lost(ours: Behavior, theirs: Behavior, most: float, other: str) -> dict[str, str]:
    """Return what was found on each capability that a model loses against another one.

    Args:
        ours: The results of the model.
        theirs: The results of the other one.
        most: The largest loss that is allowed, in [0, 1].
        other: What the other one is called.

    Raises:
        BadDataError: As for `losses_against`.
    """
    loss, rates = losses_against(ours, theirs), _by_name(ours)
    found = {}
    for part in theirs.capabilities:
        name = part.name
        if name not in loss:
            found[name] = "The model was trained on texts of every case, so it cannot be tested."
        elif loss[name] > most:
            found[name] = (
                f"{rates[name].pass_rate:.1%} of {counted(rates[name].cases, 'case')} passed, "
                f"{part.pass_rate:.1%} by the {other}: {-100 * loss[name]:+.1f} points. A loss of "
                f"at most {100 * most:.1f} points is allowed."
            )
    return found


def _by_name(behavior: Behavior) -> dict[str, CapabilityResult]:
    return {part.name: part for part in behavior.capabilities}
