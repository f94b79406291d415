from __future__ import annotations

import os
import random
import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from imdb_classifier.config import PRODUCTION, SEED, TINY, Recipe, TeachersConfig
from imdb_classifier.errors import ConfigurationError
from imdb_classifier.model.engines.keras_engine import KerasEngine
from imdb_classifier.model.keras_backend import import_keras
from imdb_classifier.model.trained import Epoch, TrainedModel, epoch_line
from imdb_classifier.model.weights import NetworkWeights, eight_bits
from imdb_classifier.reviews.dataset import REVIEWS, Reviews
from imdb_classifier.reviews.load import load_reviews
from imdb_classifier.samples import FOLDER
from imdb_classifier.text.encoding import encode
from imdb_classifier.training import loop
from imdb_classifier.training.data import Dataset, split, vocabulary_of
from imdb_classifier.training.epochs.checkpoints import load_checkpoint
from imdb_classifier.training.linear import fit_shares
from imdb_classifier.training.loop import TrainingObserver, run_key, train

RECIPE = replace(TINY, training=replace(TINY.training, epochs=3))
UNMASKED = replace(
    RECIPE,
    encoding=replace(RECIPE.encoding, sequence_length=30),
    network=replace(RECIPE.network, masked=False),
)
TAUGHT = replace(
    PRODUCTION,
    encoding=replace(PRODUCTION.encoding, num_words=1_000, sequence_length=100),
    network=replace(PRODUCTION.network, embedding_dim=8, lstm_units=8, ngrams=500),
    training=replace(
        PRODUCTION.training, epochs=3, batch_size=16, validation_fraction=0.2, warm_up_steps=5
    ),
    teachers=TeachersConfig(minimum_reviews=2, vector_size=8, vector_passes=3, vector_weight=0.5),
)
"""The recipe `production` with tiny settings."""
RECIPES = {"masked": RECIPE, "padded in front": UNMASKED, "taught": TAUGHT}


class Recorder(TrainingObserver):
    def __init__(self, killed_after: int = 0) -> None:
        self.killed_after = killed_after
        self.summary = ""
        self.steps: list[tuple[int, int]] = []
        self.epochs: list[Epoch] = []

    def started(self, summary: str, epochs: int, steps: int) -> None:
        self.summary = summary

    def stepped(self, epoch: int, step: int) -> None:
        self.steps.append((epoch, step))

    def finished(self, epoch: Epoch, epochs: int) -> None:
        self.epochs.append(epoch)
        if epoch.epoch == self.killed_after:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def reviews() -> Reviews:
    return load_reviews(str(FOLDER), "train")


@pytest.fixture(scope="module")
def unlabeled(reviews: Reviews) -> Reviews:
    """The test reviews of the sample, without their labels."""
    test = load_reviews(str(FOLDER), "test")
    hidden = pa.array([-1] * len(test), pa.int8())
    table = test.table.set_column(1, reviews.table.schema.field("label"), hidden)
    return replace(test, split="unsupervised", table=table)


@pytest.fixture(scope="module")
def recorders() -> dict[str, Recorder]:
    """What was observed of `undisturbed`, by the recipe's name here."""
    return {}


@pytest.fixture(scope="module")
def undisturbed(
    request: pytest.FixtureRequest,
    reviews: Reviews,
    unlabeled: Reviews,
    tmp_path_factory: pytest.TempPathFactory,
    recorders: dict[str, Recorder],
) -> TrainedModel:
    folder = tmp_path_factory.mktemp("run")
    recorder = recorders[request.param] = Recorder()
    return train(reviews, RECIPES[request.param], 5, folder, recorder, unlabeled)


@pytest.fixture(scope="module")
def killed(reviews: Reviews, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoints of a run of `RECIPE` that was killed after two epochs."""
    folder = tmp_path_factory.mktemp("killed")
    with pytest.raises(KeyboardInterrupt):
        train(reviews, RECIPE, 5, folder, Recorder(killed_after=2))
    return folder


every_recipe = pytest.mark.parametrize("undisturbed", RECIPES, indirect=True)


def assert_same(left: TrainedModel, right: TrainedModel) -> None:
    for ours, theirs in zip(left.model.get_weights(), right.model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert [replace(epoch, seconds=0) for epoch in left.history] == [
        replace(epoch, seconds=0) for epoch in right.history
    ]


@every_recipe
def test_another_seed_gives_other_weights(
    undisturbed: TrainedModel, reviews: Reviews, unlabeled: Reviews, tmp_path: Path
) -> None:
    other = train(reviews, undisturbed.recipe, 6, tmp_path, Recorder(), unlabeled)
    assert not np.array_equal(other.model.get_weights()[0], undisturbed.model.get_weights()[0])


@every_recipe
def test_the_same_call_gives_the_same_weights_whatever_other_threads_draw(
    undisturbed: TrainedModel, reviews: Reviews, unlabeled: Reviews, tmp_path: Path
) -> None:
    trained = threading.Event()

    def draw() -> None:
        while not trained.wait(1e-4):
            random.random()
            np.random.random()

    thread = threading.Thread(target=draw)
    thread.start()
    try:
        found = train(reviews, undisturbed.recipe, 5, tmp_path, Recorder(), unlabeled)
    finally:
        trained.set()
        thread.join()
    assert_same(found, undisturbed)


@pytest.mark.parametrize("name", RECIPES)
def test_training_leaves_the_random_numbers_of_the_process_alone(
    name: str,
    reviews: Reviews,
    unlabeled: Reviews,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Threads of other tests may draw from `random` meanwhile, so its state proves nothing.
    ours = threading.current_thread()
    drawn: list[str] = []

    def watched(name: str) -> Callable[..., Any]:
        original = getattr(random, name)

        def call(*arguments: Any, **named: Any) -> Any:
            if threading.current_thread() is ours:
                drawn.append(name)
            return original(*arguments, **named)

        return call

    for name_of_function in ("choice", "getrandbits", "randint", "random", "seed", "shuffle"):
        monkeypatch.setattr(random, name_of_function, watched(name_of_function))
    before = np.random.get_state(legacy=False)
    with pytest.raises(KeyboardInterrupt):
        train(reviews, RECIPES[name], 5, tmp_path, Recorder(killed_after=1), unlabeled)
    train(reviews, RECIPES[name], 5, tmp_path, Recorder(), unlabeled)
    assert drawn == []
    np.testing.assert_equal(np.random.get_state(legacy=False), before)


@every_recipe
def test_a_killed_run_goes_on_to_the_same_weights(
    undisturbed: TrainedModel, reviews: Reviews, unlabeled: Reviews, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(reviews, undisturbed.recipe, 5, tmp_path, Recorder(killed_after=1), unlabeled)
    recorder = Recorder()
    resumed = train(reviews, undisturbed.recipe, 5, tmp_path, recorder, unlabeled)
    assert [seen.epoch for seen in recorder.epochs] == [2, 3]
    assert_same(resumed, undisturbed)


@every_recipe
def test_an_unfinished_checkpoint_is_not_taken(
    undisturbed: TrainedModel,
    reviews: Reviews,
    unlabeled: Reviews,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def die(*_: object) -> None:
        raise OSError("the disk is gone")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", die)
        with pytest.raises(OSError, match="the disk is gone"):
            train(reviews, undisturbed.recipe, 5, tmp_path, Recorder(), unlabeled)
    assert {path.name for path in tmp_path.iterdir()} <= {"teachers"}
    assert_same(train(reviews, undisturbed.recipe, 5, tmp_path, Recorder(), unlabeled), undisturbed)


@pytest.mark.parametrize("undisturbed", ["masked"], indirect=True)
@pytest.mark.parametrize(
    ("damaged", "trained"), [(["epoch-2"], [2, 3]), (["epoch-1", "epoch-2"], [1, 2, 3])]
)
@pytest.mark.parametrize(
    ("file", "size"), [("model.keras", 0), ("model.keras", 9_999), ("history.json", 50)]
)
def test_damaged_checkpoints_are_skipped(
    undisturbed: TrainedModel,
    reviews: Reviews,
    killed: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    damaged: list[str],
    trained: list[int],
    file: str,
    size: int,
) -> None:
    shutil.copytree(killed, tmp_path, dirs_exist_ok=True)
    for checkpoint in damaged:
        assert (tmp_path / checkpoint / file).stat().st_size > size
        os.truncate(tmp_path / checkpoint / file, size)
    recorder = Recorder()
    assert_same(train(reviews, RECIPE, 5, tmp_path, recorder), undisturbed)
    assert [epoch.epoch for epoch in recorder.epochs] == trained
    assert caplog.text.count("is skipped: it is damaged") == len(damaged)


@pytest.mark.parametrize("undisturbed", ["masked"], indirect=True)
def test_what_an_observer_is_told(
    undisturbed: TrainedModel, recorders: dict[str, Recorder]
) -> None:
    recorder = recorders["masked"]
    # 178 reviews, a fifth held out, batches of 16: nine steps an epoch.
    assert recorder.steps == [(epoch, step) for epoch in (1, 2, 3) for step in range(1, 10)]
    assert tuple(recorder.epochs) == undisturbed.history
    assert "lstm (LSTM)" in recorder.summary
    assert all(0 < epoch.accuracy <= 1 and epoch.loss > 0 for epoch in undisturbed.history)
    assert undisturbed.history[2].loss < undisturbed.history[0].loss


def test_steps_of_teachers_and_of_training_are_counted(
    reviews: Reviews, unlabeled: Reviews, tmp_path: Path
) -> None:
    calls: list[tuple[str, int, int]] = []

    def progress(*call: Any) -> None:
        calls.append(call)

    train(reviews, TAUGHT, 5, tmp_path, TrainingObserver(progress), unlabeled)
    steps = TAUGHT.training.epochs * -(-(round(0.8 * len(reviews)) + len(unlabeled)) // 16)
    # Three passes over the document vectors, and five steps besides.
    assert [call for call in calls if "teachers" in call[0]] == [
        ("steps of the teachers", step, 8) for step in range(9)
    ]
    assert calls[9:] == [("training steps", step, steps) for step in range(1, steps + 1)]


def test_seed_splits_train_as_the_tutorial_does() -> None:
    labels = pa.array(np.repeat([0, 1], 12_500), pa.int8())
    table = pa.table([pa.array(["the same"] * 25_000), labels], schema=REVIEWS)
    ordered = Reviews("parquet", "train", table, None, {}, "f")
    training_rows, validation_rows = split(ordered, SEED, 1)
    assert (len(training_rows), len(validation_rows)) == (16_750, 8_250)
    assert sorted([*training_rows, *validation_rows]) == list(range(25_000))
    # Rows come ordered by label: both parts must hold both.
    assert 0.45 < (training_rows < 12_500).mean() < 0.55
    assert not np.array_equal(training_rows, split(ordered, SEED, 2)[0])


def test_without_a_validation_part(reviews: Reviews, tmp_path: Path) -> None:
    fraction = replace(RECIPE.training, validation_fraction=0.0, epochs=1)
    trained = train(reviews, replace(RECIPE, training=fraction), 5, tmp_path, Recorder())
    assert trained.history[0].val_loss is None
    assert epoch_line(trained.history[0], 1).startswith("epoch 1/1  loss 0.")


def test_batches_of_one_width_in_front_do_not_bind_the_others(tmp_path: Path) -> None:
    # With this seed, the first batches of the epoch are as wide as the recipe allows.
    texts = ["good " * 150] * 160 + ["bad " * 5] * 40
    table = pa.table({"text": texts, "label": pa.array([1] * 160 + [0] * 40, pa.int8())})
    pq.write_table(table, tmp_path / "train-0.parquet")
    recipe = replace(TINY, training=replace(TINY.training, epochs=1))
    trained = train(load_reviews(str(tmp_path), "train"), recipe, 3, tmp_path / "checkpoints")
    assert len(trained.history) == 1


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_has_a_range(reviews: Reviews, tmp_path: Path, seed: int) -> None:
    with pytest.raises(ConfigurationError, match=f"It is {seed}.*`seed`"):
        train(reviews, RECIPE, seed, tmp_path)


def test_run_keys_tell_runs_apart() -> None:
    def key(recipe: Recipe = RECIPE, seed: int = 5, fingerprint: str = "a") -> str:
        return run_key(recipe, seed, fingerprint)

    assert key() == key()
    assert run_key(RECIPE, 5, "a", revision=1) != key()
    assert len({key(), key(seed=6), key(fingerprint="b"), key(UNMASKED)}) == 4
    taught = [run_key(TAUGHT, 5, "a", unlabeled) for unlabeled in "ab"]
    assert len({*taught}) == 2
    assert key().startswith("tiny-5-")


@pytest.mark.parametrize("undisturbed", ["taught"], indirect=True)
def test_a_taught_network_is_rounded_and_calibrated(
    undisturbed: TrainedModel, reviews: Reviews
) -> None:
    weights = NetworkWeights.of(undisturbed.model)
    assert undisturbed.ngrams is not None
    assert len(undisturbed.ngrams) == 500
    for table in (weights.words, weights.ngram_weights):
        codes, scale = eight_bits(table)
        np.testing.assert_array_equal(codes * scale, table)
    _, rows = split(reviews, TAUGHT, 5)
    sequences = encode(reviews.table["text"], undisturbed.vocabulary, TAUGHT.encoding).take(rows)
    probabilities = KerasEngine(undisturbed.model, TAUGHT, undisturbed.ngrams).probabilities(
        sequences
    )
    log_odds = np.log(probabilities / (1 - probabilities))
    # If all probabilities were 0.5, every scale would fit equally well.
    assert np.abs(log_odds).max() > 0.05
    (share,), _ = fit_shares(log_odds[:, None], reviews.labels[rows], 0.0, 1e4, 100)
    assert share == pytest.approx(1, abs=0.15)


def test_teachers_need_unlabeled_reviews_with_text(reviews: Reviews, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"'production' needs .* unsupervised split"):
        train(reviews, TAUGHT, 5, tmp_path)


@pytest.mark.parametrize("averaging", [0.0, 0.9])
def test_an_epoch_ends_with_the_average_of_its_weights(
    reviews: Reviews, unlabeled: Reviews, tmp_path: Path, averaging: float
) -> None:
    one_epoch = replace(TAUGHT.training, epochs=1, averaging=averaging)
    recipe = replace(TAUGHT, training=one_epoch)
    train(reviews, recipe, 5, tmp_path, Recorder(), unlabeled)
    accuracy = loop._accuracy(import_keras())
    (history, model) = load_checkpoint(tmp_path, accuracy)
    assert len(history) == 1
    assert model is not None
    # The step size has risen, and fallen to nearly nothing.
    assert float(model.optimizer.learning_rate) < 0.1 * recipe.training.learning_rate
    if averaging:
        averages = model.optimizer._model_variables_moving_average
        for weights, average in zip(model.trainable_variables, averages, strict=True):
            np.testing.assert_array_equal(weights.numpy(), average.numpy())
    else:
        assert not model.optimizer.use_ema


def test_dropped_words_become_unknown(reviews: Reviews) -> None:
    vocabulary = vocabulary_of(reviews, TAUGHT)
    sequences = encode(reviews.table["text"], vocabulary, TAUGHT.encoding)
    part = Dataset(sequences, (reviews.labels.astype(np.float32)[:, None],), TAUGHT)
    unknown = [
        np.concatenate([(ids == 2)[ids != 0] for ids, _ in batches]).mean()
        for batches in (part.in_order(), part.epoch(np.random.default_rng(1)))
    ]
    assert unknown[1] == pytest.approx(unknown[0] + 0.1 * (1 - unknown[0]), abs=0.02)
