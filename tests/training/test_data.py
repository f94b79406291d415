from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from imdb_classifier.config import PRODUCTION, SEED, TINY, TeachersConfig
from imdb_classifier.errors import ConfigurationError
from imdb_classifier.reviews.dataset import ENCODED_REVIEWS, REVIEWS, Reviews
from imdb_classifier.text.encoding import INDEX_FROM
from imdb_classifier.training.data import prepare_training_data, recipe_for, split
from imdb_classifier.training.teachers import Predictions

RECIPE = replace(
    PRODUCTION,
    encoding=replace(PRODUCTION.encoding, num_words=30, sequence_length=20),
    network=replace(PRODUCTION.network, ngrams=50),
    training=replace(PRODUCTION.training, validation_fraction=0.2),
    teachers=TeachersConfig(minimum_reviews=2, vector_size=8, vector_passes=3, vector_weight=0.5),
)


def reviews(rows: int, seed: int, *, labeled: bool) -> Reviews:
    """Reviews of films that are good, as every other one is, or bad."""
    generator = np.random.default_rng(seed)
    texts = [
        " ".join([*generator.choice(list("abcdefgh"), 3 + row % 7), "good" if row % 2 else "bad"])
        for row in range(rows)
    ]
    labels = [row % 2 if labeled else -1 for row in range(rows)]
    return Reviews("parquet", "train", pa.table([texts, labels], schema=REVIEWS), None, {}, "f")


def test_a_network_with_teachers_learns_labels_and_what_teachers_say(tmp_path: Path) -> None:
    unlabeled = reviews(60, 2, labeled=False)
    data = prepare_training_data(reviews(100, 1, labeled=True), unlabeled, RECIPE, 1, tmp_path)
    assert (len(data.training), len(data.validation)) == (80 + 60, 20)
    good = data.vocabulary.words.to_pylist().index("good") + INDEX_FROM + 1
    for part in (data.training, data.validation):
        ids, offsets = part.sequences.ids, part.sequences.offsets[:-1]
        is_good = np.logical_or.reduceat(ids == good, offsets)
        np.testing.assert_array_equal(part.targets[0][:, 0] > 0.5, is_good)


@pytest.mark.parametrize("names", [True, False])
def test_names_are_unknown_words_if_the_recipe_wants_it(tmp_path: Path, names: bool) -> None:
    table = pa.table([[f"a film by Alice {row}" for row in range(20)], [1, 0] * 10], schema=REVIEWS)
    given = Reviews("parquet", "train", table, None, {}, "f")
    recipe = replace(RECIPE, encoding=replace(RECIPE.encoding, names=names))
    data = prepare_training_data(given, reviews(60, 2, labeled=False), recipe, 1, tmp_path)
    assert ("alice" in data.vocabulary.words.to_pylist()) == names
    assert "film" in data.vocabulary.words.to_pylist()


def test_what_the_teacher_does_not_know_is_held_out_and_a_share_of_what_was_added(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [f"film {row} {'good' if row % 2 else 'bad'}" for row in range(100)]
    # One more repeats a review that is held out.
    table = pa.table([[*texts, texts[3]], [*(row % 2 for row in range(100)), 1]], schema=REVIEWS)
    given = Reviews("parquet", "train", table, None, {}, "f")
    unlabeled = reviews(60, 2, labeled=False)
    log_odds = np.where(np.arange(161) % 2, 3, -3).astype(np.float32)
    log_odds[60:101] = np.nan
    log_odds[[0, 7]] *= -1
    log_odds[100] = log_odds[3]
    predictions = Predictions(log_odds, np.isin(np.arange(101), (0, 3, 7, 8, 100)))
    monkeypatch.setattr(Predictions, "of", lambda *_: predictions)
    data = prepare_training_data(given, unlabeled, RECIPE, 1, tmp_path)
    _, validation = split(given, RECIPE, 1)
    expected = sorted(
        {0, 3, 7, 8, 100, *validation[(validation >= 60) & (validation < 100)].tolist()}
    )
    assert len(expected) > 8
    labels = given.labels[expected]
    assert data.validation.targets[0][:, 0].tolist() == labels.tolist()
    assert len(data.training) == 161 - len(expected)
    assert data.teaching is not None
    assert data.teaching.vectors is None


def test_token_ids_of_keras_are_learned_in_the_form_of_keras(tmp_path: Path) -> None:
    table = pa.table([[[1, 4], [1, 5, 4], [1, 5]] * 4, [0, 1, 1] * 4], schema=ENCODED_REVIEWS)
    ids = Reviews("keras", "train", table, ("the", "don't"), {}, "f")
    recipe = recipe_for(ids, TINY)
    assert recipe == replace(TINY, encoding=replace(TINY.encoding, text_form="keras"))
    assert recipe_for(ids, SEED) == SEED
    # The words of these ids are given, names among them.
    assert recipe_for(ids, PRODUCTION).encoding.names
    assert recipe_for(reviews(4, 1, labeled=True), TINY) == TINY
    prepare_training_data(ids, None, recipe, 1, tmp_path)
    with pytest.raises(ConfigurationError, match=r"recipe with text_form keras\. .* normal\. "):
        prepare_training_data(ids, None, TINY, 1, tmp_path)


@pytest.mark.parametrize("encoded", [False, True])
def test_equal_reviews_are_held_out_together_and_labels_in_equal_shares(*, encoded: bool) -> None:
    generator = np.random.default_rng(4)
    # A review in ten is positive; a third repeat others, in another form.
    texts = [f"Film number {number}" for number in generator.permutation(800)]
    texts += [text.upper() + "!" for text in texts[:400]]
    labels = np.arange(400) % 10 == 0
    labels = np.concatenate([labels, labels, labels]).astype(np.int8)
    groups = np.array([int(re.sub(r"\D", "", text)) for text in texts])
    column = pa.array([[1, group] for group in groups], pa.list_(pa.int32())) if encoded else texts
    table = pa.table([column, labels], schema=ENCODED_REVIEWS if encoded else REVIEWS)
    given = Reviews("parquet", "train", table, None, {}, "f")
    training, validation = split(given, RECIPE, 1)
    assert sorted([*training, *validation]) == list(range(1_200))
    assert not {*groups[training]} & {*groups[validation]}
    assert [(labels[validation] == label).sum() for label in (0, 1)] == [216, 24]
    np.testing.assert_array_equal(split(given, RECIPE, 1)[1], validation)
    assert {*split(given, RECIPE, 2)[1]} != {*validation}
    # Some come in twos, so not all of them may fit.
    assert len({*groups[validation]}) < len(validation)


def test_without_reviews_that_are_left_nothing_is_trained() -> None:
    with pytest.raises(ConfigurationError, match=r"must be left to train on.*0 labeled reviews"):
        split(reviews(0, 1, labeled=True), RECIPE, 1)
