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


def make_small(patch: pytest.MonkeyPatch) -> None:
    small = {"READING_BATCH": 32, "TELLING_BATCH": 16, "TELLING_RATE": 0.01, "WARM_UP_STEPS": 5}
    for name, value in {**small, "AVERAGING": 0.9, "STATE_DROPOUT": 0.1, "STEPS_KEPT": 40}.items():
        patch.setattr(language_model, name, value)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    make_small(monkeypatch)


def test_the_order_of_words_is_understood(sequences: TokenSequences, tmp_path: Path) -> None:
    found = told(sequences, tmp_path, telling_passes=30)
    assert found.dtype == np.float32
    assert ((found > 0) == np.arange(REVIEWS) % 2)[LABELLED:].mean() > 0.9


def test_what_stands_in_front_is_learned_backwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(language_model, "READING_RATE", 0.02)
    generator = np.random.default_rng(1)
    ends = generator.integers(3, 30, REVIEWS)
    rows = [[START, *((end - np.arange(LENGTH)[::-1]) % 27 + 3)] for end in ends]
    counting = TokenSequences(
        np.concatenate(rows).astype(np.int32), np.arange(REVIEWS + 1) * (LENGTH + 1)
    )
    with caplog.at_level(logging.INFO, "imdb_classifier"):
        told(counting, tmp_path, backwards=True, reading_passes=30, telling_passes=1)
    losses = [float(line.rsplit(maxsplit=1)[1]) for line in caplog.messages if "reading" in line]
    assert losses[-1] < 1.1 < 2 < losses[0]


def test_other_labels_are_not_looked_at_and_what_was_read_is_shared(
    sequences: TokenSequences, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows, changed = np.arange(40), LABELS.copy()
    changed[40:] = 1 - changed[40:]
    one = told(sequences, tmp_path, rows=rows)
    (tmp_path / "telling.npz").unlink()
    caplog.clear()
    with caplog.at_level(logging.INFO, "imdb_classifier"):
        assert np.array_equal(one, told(sequences, tmp_path, rows=rows, labels=changed))
    assert "reading: step" not in caplog.text
    assert "telling: step" in caplog.text


def test_what_was_read_is_named_by_all_that_decides_it(sequences: TokenSequences) -> None:
    def key(reviews: TokenSequences = sequences, **changes: Any) -> str:
        return language_model._key(reviews, replace(CONFIG, **changes))

    assert key(telling_passes=3) == key()
    others = [key(sequences.take(np.arange(200))), key(backwards=True), key(lstm_units=13)]
    assert len({key(), *others}) == 4


class StopError(Exception):
    pass


@pytest.fixture(scope="module")
def undisturbed(
    sequences: TokenSequences, tmp_path_factory: pytest.TempPathFactory
) -> NDArray[np.float32]:
    with pytest.MonkeyPatch.context() as patch:
        make_small(patch)
        return told(sequences, tmp_path_factory.mktemp("undisturbed"))


@pytest.mark.parametrize(("stage", "step"), [("reading", 80), ("telling", 40)])
def test_a_run_that_was_killed_ends_as_an_undisturbed_one(
    sequences: TokenSequences,
    undisturbed: NDArray[np.float32],
    tmp_path: Path,
    stage: str,
    step: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    keep = language_model._keep

    def keep_then_die(state: Any, number: int, file: Path) -> None:
        keep(state, number, file)
        if number == step and (file.stem == "telling") == (stage == "telling"):
            raise StopError

    monkeypatch.setattr(language_model, "_keep", keep_then_die)
    with pytest.raises(StopError):
        told(sequences, tmp_path)
    monkeypatch.setattr(language_model, "_keep", keep)
    assert np.array_equal(told(sequences, tmp_path), undisturbed)
