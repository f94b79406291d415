from __future__ import annotations

import logging
import os
from dataclasses import fields, replace
from hashlib import sha256
from pathlib import Path
from typing import Any
from warnings import catch_warnings

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from imdb_classifier.config import TRAINING_REVISION, TeachersConfig
from imdb_classifier.reviews.dataset import REVIEWS, Reviews
from imdb_classifier.text.encoding import TokenSequences, Vocabulary
from imdb_classifier.text.ngrams import REVIEW_PARTS, fingerprints
from imdb_classifier.training import teachers
from imdb_classifier.training.teachers import PREDICTIONS, Predictions, Teaching, teach

# A weight has a limit, which more than this would reach.
CONFIG = TeachersConfig(2, vector_size=8, vector_passes=3, vector_weight=0.5, negated=0.1)
NAMES = [field.name for field in fields(TeachersConfig)]
NAMES.remove("vector_weight")  # settings of the network, which is not trained here
NAMES.remove("share_c")
NGRAMS = 50
LABELED, ALL = 100, 400
# Token 40, which says nothing, is a negation.
WORDS = [f"word{number}" for number in range(57)]
VOCABULARY = Vocabulary([*WORDS[:36], "not", *WORDS[37:]])
VALIDATION_ROWS = np.arange(70, 100)
LEARNED_ROWS = np.concatenate([np.arange(70), np.arange(100, ALL)])


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
    """-1 past the labeled ones; `validation` of those to validate with are wrong."""
    found = np.where(np.arange(ALL) < LABELED, np.arange(ALL) % 2, -1).astype(np.int8)
    found[70 : 70 + validation] = 1 - found[70 : 70 + validation]
    return found


def taught(
    sequences: TokenSequences,
    folder: Path,
    wrong: int = 0,
    config: TeachersConfig = CONFIG,
    predictions: Predictions | None = None,
) -> Teaching:
    rows = LEARNED_ROWS, VALIDATION_ROWS
    given = labels(wrong)
    return teach(sequences, VOCABULARY, given, *rows, config, NGRAMS, True, 1, folder, predictions)


def test_unlabeled_reviews_get_their_side(
    sequences: TokenSequences, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "imdb_classifier"):
        found = taught(sequences, tmp_path)
    assert found.targets.dtype == np.float32
    assert ((found.targets > 0.5) == LEARNED_ROWS % 2)[70:].mean() > 0.95
    assert found.vectors is not None
    assert found.vectors.shape == (len(LEARNED_ROWS), 8)
    assert "document vectors, pass 3/3" in caplog.text
    assert "mean of all three, accuracy 100.00 % on 30 validation reviews" in caplog.text


def test_the_strongest_ngrams_tell_reviews_apart_by_themselves(
    sequences: TokenSequences, tmp_path: Path
) -> None:
    found = taught(sequences, tmp_path)
    assert len(found.ngrams) == len(found.ngram_weights) == NGRAMS
    log_odds = found.ngrams.log_odds(sequences, np.append(np.float32(0), found.ngram_weights))
    assert ((log_odds > np.median(log_odds)) == np.arange(ALL) % 2).mean() > 0.95


def test_the_strongest_ngrams_are_of_whole_reviews_and_of_their_parts(
    sequences: TokenSequences, tmp_path: Path
) -> None:
    config = replace(CONFIG, opinion_weight=1_000)  # so that none is negated
    listed = taught(sequences, tmp_path, config=config).ngrams.listed
    of_parts = [
        np.isin(listed, fingerprints(sequences, part)[0]).sum() for part in range(len(REVIEW_PARTS))
    ]
    assert sum(of_parts) == NGRAMS
    assert of_parts[0] > max(of_parts[1:]) > 0


def test_predictions_of_a_better_teacher_replace_the_others(
    sequences: TokenSequences, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # It takes 40 and 41 of the words that say nothing for praise, and is as sure as can be.
    holds = np.bincount(
        np.repeat(np.arange(ALL), sequences.lengths), np.isin(sequences.ids, (40, 41))
    )
    log_odds = np.where(holds, 4, -4).astype(np.float32)
    given = Predictions(log_odds, np.isin(np.arange(LABELED), VALIDATION_ROWS))
    with caplog.at_level(logging.INFO, "imdb_classifier"):
        found = taught(sequences, tmp_path, predictions=given)
    assert found.vectors is None
    assert not [*tmp_path.glob("tf-idf*")]
    assert "predictions of a large LSTM, accuracy" in caplog.text
    unlabeled = found.targets[70:]
    np.testing.assert_array_equal(unlabeled > 0.5, log_odds[LABELED:] > 0)
    weights = np.append(np.float32(0), found.ngram_weights)
    by_ngrams = found.ngrams.log_odds(sequences, weights)[LABELED:]
    assert np.corrcoef(by_ngrams, log_odds[LABELED:])[0, 1] > 0.5


def test_half_of_the_target_is_the_label_where_there_is_one(
    sequences: TokenSequences, tmp_path: Path
) -> None:
    for share in (0.0, 0.5, 1.0):
        config = replace(CONFIG, label_share=share)
        wrong = Predictions(
            np.where(np.arange(ALL) % 2, -50, 50).astype(np.float32), np.zeros(LABELED, np.bool_)
        )
        found = taught(sequences, tmp_path / str(share), config=config, predictions=wrong)
        # Where it could not be more wrong, the teacher's scale is the lowest there is.
        assert np.ptp(found.targets[70:]) > 0.8
        expected = np.where(np.arange(70) % 2, share, 1 - share)
        np.testing.assert_allclose(found.targets[:70], expected, atol=0.08)


def test_the_target_is_the_label_where_there_is_no_prediction(
    sequences: TokenSequences, tmp_path: Path
) -> None:
    log_odds = np.where(np.arange(ALL) % 2, 4, -4).astype(np.float32)
    log_odds[40:80] = np.nan
    log_odds[36:40] *= -1  # so that it is not as sure as can be
    given = Predictions(log_odds, np.zeros(40, np.bool_))
    found = taught(sequences, tmp_path, predictions=given)
    assert found.targets.dtype == np.float32
    np.testing.assert_array_equal(found.targets[40:70], np.arange(40, 70) % 2)
    positive = found.targets[1:36:2]
    assert 0.5 < positive.min() <= positive.max() < 0.98


def test_predictions_belong_to_the_reviews_of_imdb_only() -> None:
    table = pa.table([["A film."], [1]], schema=REVIEWS)
    others = Reviews("parquet", "train", table, None, {}, "f")
    assert Predictions.of(others, others) is None


def test_other_predictions_need_another_revision() -> None:
    # The name of a run does not know them, so a run would go on with what others taught.
    fingerprint = sha256(PREDICTIONS.read_bytes()).hexdigest()[:12]
    assert (TRAINING_REVISION, fingerprint) == (5, "93b1d74008f3")


def test_labels_to_validate_with_only_make_the_teachers_less_sure(
    sequences: TokenSequences, tmp_path: Path
) -> None:
    sure, unsure = (
        taught(sequences, tmp_path / name, wrong) for name, wrong in (("right", 2), ("wrong", 8))
    )
    expected, found = (np.argsort(each.targets[70:], kind="stable") for each in (sure, unsure))
    np.testing.assert_array_equal(found, expected)
    assert np.abs(unsure.targets - 0.5).mean() < np.abs(sure.targets - 0.5).mean()


@pytest.mark.parametrize("teacher", ["log-count-ratios", "tf-idf", "weights-by-vectors"])
def test_every_teacher_has_a_say(sequences: TokenSequences, tmp_path: Path, teacher: str) -> None:
    expected = taught(sequences, tmp_path, wrong=2).targets
    kept = tmp_path / f"{teacher}.npy"
    np.save(kept, -np.load(kept))
    (tmp_path / "weights.npy").unlink()
    contradicted = taught(sequences, tmp_path, wrong=2).targets
    assert np.abs(contradicted - expected).mean() > 0.005


def test_nothing_is_learned_from_texts_to_validate_with(
    sequences: TokenSequences, tmp_path: Path
) -> None:
    other = TokenSequences(sequences.ids.copy(), sequences.offsets)
    other.ids[other.offsets[70] : other.offsets[100]] = 3
    for folder, texts in (("these", sequences), ("others", other)):
        taught(texts, tmp_path / folder)
    # What is left are IDF weights and the calibration.
    for name in ("document-vectors", "weights-by-vectors"):
        found, expected = (np.load(tmp_path / n / f"{name}.npy") for n in ("others", "these"))
        np.testing.assert_array_equal(found, expected)


def test_a_killed_run_starts_with_the_teacher_it_was_at(
    sequences: TokenSequences, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = taught(sequences, tmp_path / "undisturbed")

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(teachers, "train_document_vectors", killed)
        with pytest.raises(KeyboardInterrupt):
            taught(sequences, tmp_path)
    kept = sorted(file.name for file in tmp_path.glob("*.npy"))
    assert kept == ["log-count-ratios.npy", "tf-idf.npy"]
    monkeypatch.setattr(teachers, "tf_idf_log_odds", killed)
    found = taught(sequences, tmp_path)
    np.testing.assert_array_equal(found.targets, expected.targets)
    np.testing.assert_array_equal(found.ngram_weights, expected.ngram_weights)


@pytest.mark.parametrize("size", [0, 50, 300])
def test_a_damaged_result_of_a_teacher_is_computed_again(
    sequences: TokenSequences, tmp_path: Path, caplog: pytest.LogCaptureFixture, size: int
) -> None:
    expected = taught(sequences, tmp_path)
    os.truncate(tmp_path / "weights.npy", size)
    found = taught(sequences, tmp_path)
    np.testing.assert_array_equal(found.ngram_weights, expected.ngram_weights)
    assert " weights.npy is skipped: it is damaged" in caplog.text


@pytest.mark.parametrize("name", NAMES)
def test_every_setting_decides_what_is_taught(
    sequences: TokenSequences, tmp_path: Path, name: str
) -> None:
    value = getattr(CONFIG, name)
    changed = {
        "random_pairs": 50,
        "regression_iterations": 1,
        "weight_iterations": 1,
        "penalized_iterations": 1,
        "opinion_weight": 1_000,
    }.get(name, value + (value or 1))
    found = []
    for number, config in enumerate((CONFIG, replace(CONFIG, **{name: changed}))):
        with catch_warnings(action="ignore", category=ConvergenceWarning):
            learned = taught(sequences, tmp_path / str(number), config=config)
        assert learned.vectors is not None
        arrays = learned.targets, learned.vectors, learned.ngram_weights
        found.append([array.tobytes() for array in arrays])
    assert found[0] != found[1]
