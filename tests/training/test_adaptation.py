"""Which change of the log-odds is chosen, and how it is fitted."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from imdb_classifier.text.encoding import TokenSequences
from imdb_classifier.training.adaptation import Attempt, choose_adaptation, fit_adaptation

STEP = 0.01


def sequences_of(rows: NDArray[np.int64]) -> TokenSequences:
    return TokenSequences(rows.astype(np.int32).ravel(), np.arange(len(rows) + 1) * rows.shape[1])


def by_chance(rows: int, copies: int = 1) -> tuple[NDArray[np.int8], TokenSequences]:
    """Labels that have nothing to do with their texts, whose copies have their label."""
    generator = np.random.default_rng(3)
    labels = np.repeat(generator.integers(2, size=rows // copies), copies).astype(np.int8)
    tokens = np.repeat(generator.integers(3, 400, (rows // copies, 8)), copies, axis=0)
    return labels, sequences_of(tokens)


def test_labels_drawn_by_chance_teach_nothing() -> None:
    labels, sequences = by_chance(300)
    groups = np.arange(300).astype(np.uint64)
    chosen, adaptation, attempts = choose_adaptation(np.zeros(300), sequences, labels, groups, STEP)
    assert chosen.change == "none"
    assert (adaptation.scale, adaptation.bias, adaptation.ngrams) == (1, 0, None)
    assert {attempt.change for attempt in attempts} == {"none", "bias and scale", "n-grams"}


def test_copies_of_a_text_do_not_vouch_for_each_other() -> None:
    labels, sequences = by_chance(400, copies=4)
    groups = np.repeat(np.arange(100), 4).astype(np.uint64)
    chosen, _, _ = choose_adaptation(np.zeros(400), sequences, labels, groups, STEP)
    assert chosen.change == "none"


def test_scores_that_are_right_are_hardly_ever_changed() -> None:
    changed = 0
    for seed in range(20):
        generator = np.random.default_rng(seed)
        log_odds = generator.normal(0, 2, 100)
        labels = (generator.random(100) < 1 / (1 + np.exp(-log_odds))).astype(np.int8)
        sequences = sequences_of(generator.integers(3, 40, (100, 5)))
        groups = np.arange(100).astype(np.uint64)
        chosen, _, _ = choose_adaptation(log_odds, sequences, labels, groups, None)
        changed += chosen.change != "none"
    assert changed <= 2


@pytest.mark.parametrize(("scale", "bias"), [(0.5, 0.0), (1.0, -2.0), (2.0, 1.0)])
def test_bias_and_scale_are_found(scale: float, bias: float) -> None:
    generator = np.random.default_rng(4)
    log_odds = generator.normal(0, 2, 4_000)
    truth = scale * log_odds + bias
    labels = (generator.random(4_000) < 1 / (1 + np.exp(-truth))).astype(np.int8)
    sequences = sequences_of(generator.integers(3, 40, (4_000, 5)))
    fitted = fit_adaptation(Attempt("bias and scale", None), log_odds, sequences, labels, None)
    assert (fitted.scale, fitted.bias) == pytest.approx((scale, bias), abs=0.15)
    np.testing.assert_allclose(
        fitted.log_odds(log_odds, sequences), fitted.scale * log_odds + fitted.bias
    )


def test_words_that_tell_texts_apart_get_weights_in_steps() -> None:
    generator = np.random.default_rng(5)
    labels = (np.arange(400) % 2).astype(np.int8)
    tokens = np.concatenate([generator.integers(10, 40, (400, 6)), 5 + labels[:, None]], axis=1)
    sequences, groups = sequences_of(tokens), np.arange(400).astype(np.uint64)
    chosen, adaptation, _ = choose_adaptation(np.zeros(400), sequences, labels, groups, STEP)
    assert chosen.change == "n-grams"
    assert chosen.accuracy > 0.95
    assert adaptation.weights is not None
    codes = adaptation.weights / (STEP * adaptation.scale)
    np.testing.assert_allclose(codes, np.rint(codes), atol=1e-6)
    assert 0 < np.abs(codes).max() <= 127
    right = (adaptation.log_odds(np.zeros(400), sequences) > 0) == (labels == 1)
    assert right.mean() > 0.98
    # Without n-grams in the network, or with few labels, there are only bias and scale.
    for rows, step in ((400, None), (199, STEP)):
        few = np.arange(rows)
        _, _, attempts = choose_adaptation(
            np.zeros(rows), sequences.take(few), labels[few], groups[few], step
        )
        assert [attempt.change for attempt in attempts] == ["none", "bias and scale"]
