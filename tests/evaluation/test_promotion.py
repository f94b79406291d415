from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imdb_classifier.errors import ConfigurationError
from imdb_classifier.evaluation.behavior.cases import load_suite
from imdb_classifier.evaluation.behavior.judgment import (
    Behavior,
    CapabilityResult,
    SuiteScores,
    texts_of,
)
from imdb_classifier.evaluation.behavior.losses import BehaviorComparison, compare_behavior
from imdb_classifier.evaluation.comparison import Comparison, LabelChange, LabelChanges, compare
from imdb_classifier.evaluation.metrics import evaluate
from imdb_classifier.evaluation.promotion import Check, Decision, Gates, decide
from imdb_classifier.evaluation.report import render_decision
from imdb_classifier.evaluation.result import Evaluation, Figure
from imdb_classifier.version import __version__

ROWS = 1_000
LABELS = np.arange(ROWS) % 2
SUITE = load_suite()
TEXTS = texts_of(SUITE)


def scores(*wrong: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Probabilities that are right but for some rows."""
    right = np.where(LABELS == 1, 0.99, 0.01).astype(np.float32)
    right[list(wrong)] = 1 - right[list(wrong)]
    return right


def evaluation(name: str, learned: int = 0, **figures: float) -> Evaluation:
    data, model = {"fingerprint": "f", "learned": learned}, {"id": name}
    made = evaluate(LABELS, scores(), np.full(ROWS, 100), data=data, model=model)
    changed = {key: Figure(value, value, value) for key, value in figures.items()}
    return replace(made, figures={**made.figures, **changed})


def comparison(better: int, worse: int, name: str = "all test rows") -> Comparison:
    """Rows 0 to 99 are wrong for both, some of the others for one of them."""
    ours, theirs = range(100, 100 + worse), range(500, 500 + better)
    return compare(name, LABELS, scores(*range(100), *ours), scores(*range(100), *theirs))


def decision(
    overall: Comparison,
    *slices: Comparison,
    further: tuple[Check, ...] = (),
    reference: Comparison | None = None,
    changes: LabelChanges | None = None,
    gates: Gates | None = None,
    figures: Mapping[str, float] | None = None,
    learned: int = 0,
) -> Decision:
    new, old = evaluation("new", learned, **figures or {}), evaluation("old")
    return decide(new, old, overall, slices, gates or Gates(), reference, changes, further)


def failed(made: Decision) -> list[str]:
    return [check.name for check in made.checks if not check.passed]


def test_two_models_on_the_same_rows() -> None:
    found = comparison(better=1, worse=7)
    assert (found.rows, found.better, found.worse) == (ROWS, 1, 7)
    assert (found.challenger_accuracy, found.champion_accuracy) == (0.893, 0.899)
    # At most 1 of 8 heads, or of 8 tails: 2 (1 + 8) / 256.
    assert found.p_value == pytest.approx(18 / 256)
    # The difference's standard error is sqrt(8) / 1,000.
    assert found.low == pytest.approx(-0.006 - 1.96 * 8**0.5 / ROWS, abs=0.001)
    assert found.high == pytest.approx(-0.006 + 1.96 * 8**0.5 / ROWS, abs=0.001)


def test_models_that_agree_do_not_differ() -> None:
    found = comparison(0, 0)
    assert (found.difference, found.low, found.high, found.p_value) == (0, 0, 0, 1)


@given(better=st.integers(0, 100), worse=st.integers(0, 100))
def test_changing_places_changes_signs(better: int, worse: int) -> None:
    one, other = comparison(better, worse), comparison(worse, better)
    assert one.difference == pytest.approx(-other.difference)
    assert one.p_value == pytest.approx(other.p_value)
    assert one.low <= one.difference <= one.high


@pytest.mark.parametrize(
    ("better", "worse", "promote"),
    [
        (40, 10, True),
        (0, 0, True),
        (0, 2, True),
        (3, 3, True),
        (10, 10, False),
        (100, 99, False),
        (6, 12, False),
        (0, 6, False),
    ],
    ids=["better", "same", "two rows", "close", "far", "farther", "worse", "surely worse"],
)
def test_a_challenger_may_not_be_worse_by_more_than_the_margin(
    better: int, worse: int, promote: bool
) -> None:
    made = decision(comparison(better, worse))
    assert made.promote is promote
    assert failed(made) == ([] if promote else ["all test rows"])
    ours = (900 - worse) / ROWS
    verdict = "promoted" if promote else "refused (failed: all test rows)"
    assert made.reason == (
        f"Challenger new labels {ours:.2%} of 1,000 test rows correctly, "
        f"champion old {(900 - better) / ROWS:.2%}: {verdict}."
    )
    (found,) = [check.found for check in made.checks if check.name == "all test rows"]
    rules = "rules" if promote else "does not rule"
    assert found.endswith(f"), which {rules} out a loss of more than 0.50 points.")
    # The same margin holds for the fixed reference.
    made = decision(comparison(50, 0), reference=comparison(better, worse, "reference first"))
    assert failed(made) == ([] if promote else ["reference first"])


def test_a_gain_can_be_required() -> None:
    gates = Gates(accuracy_gained=0.02)
    reference = comparison(0, 0, "reference first")
    assert failed(decision(comparison(21, 0), gates=gates, reference=reference)) == []
    made = decision(comparison(18, 0), gates=gates, reference=reference)
    assert failed(made) == ["all test rows"]
    assert "A gain of at least 2.00 points is required." in render_decision(made)


def test_a_model_that_was_trained_on_the_test_rows_is_refused() -> None:
    assert failed(decision(comparison(50, 0), learned=30)) == []
    made = decision(comparison(50, 0), learned=31)
    assert failed(made) == ["unseen test rows"]
    assert made.reason.endswith(": refused (failed: unseen test rows).")
    assert "trained on 31 of 1,000 test rows (3.10%); at most 3.00% is allowed." in (
        render_decision(made)
    )
    assert failed(decision(comparison(50, 0), learned=31, gates=Gates(learned=0.031))) == []


@pytest.mark.parametrize(
    ("figures", "names"),
    [
        ({"accuracy": 0.79}, ["accuracy"]),
        ({"log_loss": 0.51}, ["log loss"]),
        ({"calibration_error": 0.11}, ["calibration error"]),
        ({"accuracy": 0.8, "log_loss": 0.5, "calibration_error": 0.1}, []),
    ],
)
def test_gates_hold_whatever_the_champion_does(figures: dict[str, float], names: list[str]) -> None:
    made = decision(comparison(50, 0), figures=figures)
    assert failed(made) == names
    assert made.promote == (not names)


def test_no_slice_may_get_worse_for_sure() -> None:
    fine, chance = comparison(3, 3, "fine"), comparison(2, 9, "by chance")
    worse = comparison(0, 30, "truncated")
    assert failed(decision(comparison(50, 0), fine, chance)) == []
    # p = 0.03 is too small for chance in one slice, and not in one of two.
    assert comparison(0, 6, "one").p_value == pytest.approx(2 / 64)
    assert failed(decision(comparison(50, 0), comparison(0, 6, "one"))) == ["one"]
    assert failed(decision(comparison(50, 0), comparison(0, 6, "one"), fine)) == []
    made = decision(comparison(50, 0), fine, worse)
    assert failed(made) == ["truncated"]
    assert made.reason.endswith(": refused (failed: truncated).")


CHANGES = LabelChanges(
    rows=200,
    to_positive=15,
    to_negative=5,
    mean_move=0.02,
    move_quantiles={"50%": 0.01, "100%": 0.9},
    largest=(LabelChange("day=1/a|b.parquet", 1_234, 0.96, 0.06),),
)


def behavior(**failures: int) -> Behavior:
    """Results on capabilities of 20 cases each."""
    parts = (CapabilityResult("a", name, 20, 20, bad, ()) for name, bad in failures.items())
    return Behavior("s", 20 * len(failures), 0, tuple(parts))


def behaves(ours: Behavior, gates: Gates | None = None, **others: Behavior) -> Decision:
    new, old = replace(evaluation("new"), behavior=ours), evaluation("old")
    compared = tuple(BehaviorComparison(name, ours, theirs) for name, theirs in others.items())
    return decide(new, old, comparison(50, 0), (), gates or Gates(), behavior=compared)


def test_no_capability_may_get_lost() -> None:
    champion = behavior(negation=12, emoji=0, casing=3)
    made = behaves(behavior(negation=0, emoji=5, casing=8), champion=champion)
    assert failed(made) == []
    assert made.checks[-1].found == (
        "The largest loss of a capability against the champion is 25.0 points; at most 25.0 points "
        "are allowed."
    )
    made = behaves(behavior(negation=0, emoji=6, casing=9), champion=champion)
    assert failed(made) == ["behavior: emoji", "behavior: casing"]
    assert "refused (failed: behavior: emoji, behavior: casing)." in made.reason
    assert (
        "| behavior: emoji | **no** | 70.0% of 20 cases passed, 100.0% by the champion: "
        "-30.0 points. A loss of at most 25.0 points is allowed. |"
    ) in render_decision(made)
    gates = Gates(behavior_lost=0.3)
    assert failed(behaves(behavior(emoji=6), gates, champion=behavior(emoji=0))) == []


def test_a_capability_of_which_no_case_counts_for_both_is_lost() -> None:
    first, second = SUITE[:2]
    right = np.full(len(TEXTS), 0.5)
    none, some, all_of_it = (
        SuiteScores(right, np.isin(TEXTS, [case.texts[0] for case in cases]))
        for cases in ((), first.cases[1:], first.cases)
    )
    rest = SuiteScores(right, np.isin(TEXTS, first.cases[0].texts[0]))
    for ours, theirs, untested in (
        (none, none, ()),
        (some, none, ()),
        (all_of_it, none, (first.name,)),
        (none, rest, ()),
        (some, rest, (first.name,)),
        # Where the champion cannot be tested at all, there is nothing to lose.
        (none, all_of_it, ()),
    ):
        compared = compare_behavior("champion", ours, theirs)
        assert compared.untested == untested
        cases, others = (
            [part.cases for part in by.capabilities] for by in (compared.ours, compared.theirs)
        )
        assert cases == others
        assert (first.name in compared.losses) == (not untested and theirs is not all_of_it)
        assert second.name in compared.losses
        assert compared.lost(1).keys() == set(untested)


def test_losses_of_behavior_do_not_add_up() -> None:
    bundled, champion, new = behavior(emoji=0), behavior(emoji=4), behavior(emoji=8)
    assert failed(behaves(new, champion=champion)) == []
    assert failed(behaves(new, champion=champion, reference=bundled)) == [
        "behavior beside the reference: emoji"
    ]
    assert failed(behaves(champion, champion=champion, reference=bundled)) == []


def test_a_model_may_have_learned_few_texts_of_the_suite() -> None:
    ours = behavior(negation=0, emoji=0)
    assert failed(behaves(replace(ours, learned=1), champion=ours)) == []
    assert failed(behaves(replace(ours, learned=2), champion=ours)) == [
        "unseen texts of the behavior suite"
    ]


def test_few_labels_may_change() -> None:
    assert CHANGES.share == 0.1
    assert failed(decision(comparison(5, 0), changes=CHANGES)) == []
    made = decision(comparison(5, 0), changes=CHANGES, gates=Gates(label_changes=0.09))
    assert failed(made) == ["label changes"]
    text = render_decision(made)
    assert "10.0 % of 200 unlabeled rows would get another label: 15 positive, 5 negative." in text
    assert "by 0.020 on average, by at most 0.010 in 50% of the rows, by at most 0.900 in" in text
    assert "| day=1/a\\|b.parquet | 1,234 | 0.960 | 0.060 |" in text
    assert made.to_dict()["label_changes"]["largest"][0]["row"] == 1_234


def test_what_was_checked_elsewhere_counts() -> None:
    made = decision(comparison(5, 0), further=(Check("golden scores", False, "It cannot load."),))
    assert not made.promote
    assert failed(made) == ["golden scores"]


def test_gates_of_ones_own() -> None:
    gates = Gates.of({"accuracy": 0.95, "accuracy_lost": 0, "log_loss": 2})
    assert (gates.accuracy, gates.log_loss) == (0.95, 2)
    assert gates.learned == Gates().learned
    assert failed(decision(comparison(9, 10), gates=gates, figures={"accuracy": 0.9})) == [
        "accuracy",
        "all test rows",
    ]


@pytest.mark.parametrize(
    "limits", [{"speed": 1.0}, {"accuracy": -0.1}, {"label_changes": float("nan")}]
)
def test_what_is_no_gate(limits: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match=r"The gates are accuracy, .* in `gates`"):
        Gates.of(limits)


@pytest.mark.parametrize(
    "name", [field.name for field in fields(Gates) if field.name not in ("log_loss", "own_sets")]
)
def test_a_gate_in_percent_is_refused(name: str) -> None:
    with pytest.raises(
        ConfigurationError, match=rf"accuracy, .* are shares .* {name}=90 is not allowed.*`gates`"
    ):
        Gates.of({name: 90})


def test_a_decision_is_plain_json() -> None:
    made = decision(comparison(5, 0), comparison(0, 30, "truncated"))
    values = json.loads(json.dumps(made.to_dict(), allow_nan=False))
    assert (values["schema_version"], values["promote"]) == (1, False)
    assert values["overall"]["better"] == 5
    assert values["data"] == {"fingerprint": "f", "learned": 0}


def test_a_decision_reads_like_a_verdict() -> None:
    reference = comparison(9, 0, "reference first")
    made = decision(comparison(5, 0), comparison(0, 30, "nega|tion"), reference=reference)
    text = render_decision(made)
    assert text.startswith("# Refused: new\n\nChallenger new labels 90.00% of 1,000 test rows")
    assert "| nega\\|tion | **no** | 1,000 | 87.0 % | 90.0 % | -3.00 |" in text
    assert "| all test rows | yes | 1,000 | 90.0 % | 89.5 % | +0.50 |" in text
    assert "| reference first | yes | 1,000 | 90.0 % | 89.1 % | +0.90 |" in text
    assert (
        'with the champion old, and in the row "reference first" with that model, without' in text
    )
    assert text.endswith(f"Test rows: fingerprint `f`. Decided by imdb-classifier {__version__}.\n")
    assert "# Promoted: new\n" in render_decision(decision(comparison(5, 0)))
