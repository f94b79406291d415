from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from imdb_classifier import teachers
from imdb_classifier.config import LanguageModelConfig, TeachersConfig
from imdb_classifier.encoding import TokenSequences
from imdb_classifier.teachers import teach

CONFIG = TeachersConfig(
    minimum_reviews=2,
    vector_size=8,
    vector_passes=3,
    vector_weight=0.5,
    language_models=(LanguageModelConfig(40, 15, 4, 4, 8, 1, 1, backwards=True),),
)
LABELLED, ALL = 100, 400
TRAINING_ROWS, VALIDATION_ROWS = np.arange(70), np.arange(70, 100)


@pytest.fixture(scope="module")
def sequences() -> TokenSequences:
    """Reviews whose every other one speaks well of a film, with words that not all of them use."""
    generator = np.random.default_rng(6)
    rows = [
        np.concatenate(
            [generator.choice(20, 10) + 40, generator.choice(15, 4) + 3 + 15 * (row % 2)]
        )
        for row in range(ALL)
    ]
    offsets = np.cumsum([0, *map(len, rows)])
    return TokenSequences(np.concatenate(rows).astype(np.int32), offsets)


def labels(validation: int = 0) -> NDArray[np.int8]:
    """-1 past the labelled ones; `validation` of those to validate with are wrong."""
    found = np.where(np.arange(ALL) < LABELLED, np.arange(ALL) % 2, -1).astype(np.int8)
    found[70 : 70 + validation] = 1 - found[70 : 70 + validation]
    return found


def taught(sequences: TokenSequences, folder: Path, wrong: int = 0) -> NDArray[np.float32]:
    rows = TRAINING_ROWS, VALIDATION_ROWS
    return teach(
        sequences, labels(wrong), *rows, CONFIG, 1, folder, folder / "readings"
    ).probabilities


def test_unlabelled_reviews_get_their_side(
    sequences: TokenSequences, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "imdb_classifier"):
        found = taught(sequences, tmp_path)
    assert found.dtype == np.float32
    assert ((found > 0.5) == np.arange(ALL) % 2)[LABELLED:].mean() > 0.95
    assert "document vectors, pass 3/3" in caplog.text
    assert "language model, backwards, right in" in caplog.text
    assert "their mean, right in 100.00 % of 30 validation reviews" in caplog.text


def test_labels_to_validate_with_only_make_the_teachers_less_sure(
    sequences: TokenSequences, tmp_path: Path
) -> None:
    sure = taught(sequences, tmp_path / "right", wrong=2)
    unsure = taught(sequences, tmp_path / "wrong", wrong=8)
    np.testing.assert_array_equal(np.argsort(sure), np.argsort(unsure))
    assert np.abs(unsure - 0.5).mean() < np.abs(sure - 0.5).mean()


def test_a_killed_run_starts_with_the_teacher_it_was_at(
    sequences: TokenSequences, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = taught(sequences, tmp_path / "undisturbed")

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(teachers, "document_vectors", killed)
        with pytest.raises(KeyboardInterrupt):
            taught(sequences, tmp_path)
    kept = sorted(file.name for file in tmp_path.glob("*.npy"))
    assert kept == ["log-count-ratios.npy", "tf-idf.npy"]
    monkeypatch.setattr(teachers, "tf_idf_log_odds", killed)
    np.testing.assert_array_equal(taught(sequences, tmp_path), expected)
