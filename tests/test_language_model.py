from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from imdb_classifier import language_model
from imdb_classifier.config import LanguageModelConfig
from imdb_classifier.encoding import START, TokenSequences
from imdb_classifier.language_model import language_model_log_odds

REVIEWS, LABELLED, LENGTH = 300, 150, 9
CONFIG = LanguageModelConfig(
    num_words=30,
    sequence_length=20,
    embedding_dim=8,
    lstm_units=12,
    drawn_words=16,
    reading_passes=12,
    telling_passes=12,
)


@pytest.fixture(scope="module")
def sequences() -> TokenSequences:
    """Reviews that speak of films in one order of words if good, and in the other one if bad."""
    generator = np.random.default_rng(4)
    rows = []
    for row in range(REVIEWS):
        words = generator.choice(np.arange(10, 30), generator.integers(LENGTH - 3, LENGTH))
        pair = (4, 5) if row % 2 else (5, 4)
        place = generator.integers(0, len(words))
        rows.append(np.concatenate([[START], words[:place], pair, words[place:]]))
    return TokenSequences(np.concatenate(rows).astype(np.int32), np.cumsum([0, *map(len, rows)]))


LABELS = np.where(np.arange(REVIEWS) < LABELLED, np.arange(REVIEWS) % 2, -1).astype(np.int8)


def told(
    sequences: TokenSequences,
    folder: Path,
    labels: NDArray[np.int8] = LABELS,
    rows: NDArray[np.int64] = np.arange(LABELLED),  # noqa: B008 - never changed
    **changes: Any,
) -> NDArray[np.float32]:
    config = replace(CONFIG, **changes)
    return language_model_log_odds(
        sequences, labels, rows, config, 3, folder / "readings", folder / "telling.npz"
    )


@pytest.fixture(autouse=True)
def quick_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    small = {"READING_BATCH": 32, "TELLING_BATCH": 16, "TELLING_RATE": 0.01, "WARM_UP_STEPS": 5}
    for name, value in {**small, "AVERAGING": 0.9, "STATE_DROPOUT": 0.1, "STEPS_KEPT": 40}.items():
        monkeypatch.setattr(language_model, name, value)


@pytest.mark.parametrize("backwards", [False, True])
def test_the_order_of_words_is_understood(
    sequences: TokenSequences, tmp_path: Path, backwards: bool
) -> None:
    found = told(sequences, tmp_path, backwards=backwards, telling_passes=30)
    assert found.dtype == np.float32
    assert ((found > 0) == np.arange(REVIEWS) % 2)[LABELLED:].mean() > 0.9


@pytest.mark.parametrize("backwards", [False, True])
def test_what_follows_is_learned(
    tmp_path: Path,
    backwards: bool,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(language_model, "READING_RATE", 0.02)
    begins = np.random.default_rng(1).integers(3, 30, REVIEWS)
    rows = [[START, *((begin + np.arange(LENGTH)) % 27 + 3)] for begin in begins]
    counting = TokenSequences(
        np.concatenate(rows).astype(np.int32), np.arange(REVIEWS + 1) * (LENGTH + 1)
    )
    with caplog.at_level(logging.INFO, "imdb_classifier"):
        told(counting, tmp_path, backwards=backwards, reading_passes=30, telling_passes=1)
    losses = [float(line.rsplit(maxsplit=1)[1]) for line in caplog.messages if "reading" in line]
    assert losses[-1] < 0.9 < 2 < losses[0]


def test_labels_of_other_rows_are_not_looked_at(sequences: TokenSequences, tmp_path: Path) -> None:
    one = told(sequences, tmp_path / "one", rows=np.arange(40))
    changed = LABELS.copy()
    changed[40:] = 1 - changed[40:]
    assert np.array_equal(
        one, told(sequences, tmp_path / "two", rows=np.arange(40), labels=changed)
    )


class StopError(Exception):
    pass


@pytest.mark.parametrize(("stage", "step"), [("reading", 80), ("telling", 40)])
def test_a_run_that_was_killed_ends_as_an_undisturbed_one(
    sequences: TokenSequences,
    tmp_path: Path,
    stage: str,
    step: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    undisturbed = told(sequences, tmp_path / "whole")
    keep = language_model._keep

    def keep_then_die(state: Any, number: int, file: Path) -> None:
        keep(state, number, file)
        if number == step and (file.stem == "telling") == (stage == "telling"):
            raise StopError

    monkeypatch.setattr(language_model, "_keep", keep_then_die)
    with pytest.raises(StopError):
        told(sequences, tmp_path / "killed")
    monkeypatch.setattr(language_model, "_keep", keep)
    assert np.array_equal(told(sequences, tmp_path / "killed"), undisturbed)


def test_runs_with_the_same_reviews_share_what_was_read(
    sequences: TokenSequences, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    told(sequences, tmp_path, telling_passes=1)
    (tmp_path / "telling.npz").unlink()
    with caplog.at_level(logging.INFO, "imdb_classifier"):
        told(sequences, tmp_path, telling_passes=1, labels=1 - LABELS)
    assert "reading: step" not in caplog.text
    assert "telling: step" in caplog.text
    (tmp_path / "telling.npz").unlink()
    with caplog.at_level(logging.INFO, "imdb_classifier"):
        told(sequences.take(np.arange(200)), tmp_path, telling_passes=1)
    assert "reading: step" in caplog.text
