"""Callbacks of Keras follow training, and do not change it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imdb_classifier.config import TINY
from imdb_classifier.errors import ConfigurationError
from imdb_classifier.model.keras_backend import import_keras
from imdb_classifier.model.trained import Epoch
from imdb_classifier.reviews.dataset import Reviews
from imdb_classifier.reviews.load import load_reviews
from imdb_classifier.samples import FOLDER
from imdb_classifier.training.loop import TrainingObserver, train

RECIPE = replace(TINY, training=replace(TINY.training, epochs=2, batch_size=64))


class Killed(TrainingObserver):
    def finished(self, epoch: Epoch, epochs: int) -> None:
        raise KeyboardInterrupt


@pytest.fixture(scope="module")
def reviews() -> Reviews:
    return load_reviews(str(FOLDER), "train")


def recorder(calls: list[tuple[str, Any, Any]]) -> Any:
    class Recorder(import_keras().callbacks.Callback):  # type: ignore[misc]
        def __getattribute__(self, name: str) -> Any:
            value = super().__getattribute__(name)
            if not name.startswith("on_") or "test" in name:
                return value

            def call(*given: Any, **named: Any) -> None:
                given = (*given, *named.values())
                calls.append((name, given[0] if len(given) > 1 else None, given[-1]))

            return call

    return Recorder()


def test_callbacks_see_one_training_and_leave_its_weights_alone(
    reviews: Reviews, tmp_path: Path
) -> None:
    calls: list[tuple[str, Any, Any]] = []
    table = tmp_path / "metrics.csv"
    callbacks = [recorder(calls), import_keras().callbacks.CSVLogger(table)]
    seen = train(reviews, RECIPE, 5, tmp_path / "seen", callbacks=callbacks)
    steps = ["on_train_batch_begin", "on_train_batch_end"] * 3
    epoch = ["on_epoch_begin", *steps, "on_epoch_end"]
    assert [name for name, _, _ in calls] == ["on_train_begin", *epoch, *epoch, "on_train_end"]
    assert [number for name, number, _ in calls if name == "on_epoch_end"] == [0, 1]
    assert [logs for name, _, logs in calls if name == "on_epoch_end"] == [
        {name: getattr(epoch, name) for name in ("loss", "accuracy", "val_loss", "val_accuracy")}
        for epoch in seen.history
    ]
    assert table.read_text().splitlines()[0] == "epoch,accuracy,loss,val_accuracy,val_loss"
    assert len(table.read_text().splitlines()) == 3
    unseen = train(reviews, RECIPE, 5, tmp_path / "unseen")
    for ours, theirs in zip(seen.model.get_weights(), unseen.model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_after_an_interruption_the_epochs_that_are_left_are_seen(
    reviews: Reviews, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(reviews, RECIPE, 5, tmp_path, Killed())
    calls: list[tuple[str, Any, Any]] = []
    train(reviews, RECIPE, 5, tmp_path, callbacks=[recorder(calls)])
    assert [number for name, number, _ in calls if name.startswith("on_epoch")] == [1, 1]


def stops(callback: Any) -> None:
    callback.model.stop_training = True


def slows(callback: Any) -> None:
    callback.model.optimizer.learning_rate.assign(1e-9)


def forgets(callback: Any) -> None:
    layer = callback.model.layers[-1]
    layer.set_weights([0 * weights for weights in layer.get_weights()])


@pytest.mark.parametrize(
    ("change", "hook", "message"),
    [
        (stops, "on_epoch_end", r"In on_epoch_end, one of `callbacks` stopped training"),
        (slows, "on_epoch_begin", r"In on_epoch_begin, .* changed weights or the learning rate"),
        (forgets, "on_train_batch_end", r"In on_train_batch_end, .* changed weights"),
    ],
)
def test_a_callback_that_changes_training_is_refused(
    reviews: Reviews,
    tmp_path: Path,
    change: Callable[[Any], None],
    hook: str,
    message: str,
) -> None:
    callback = import_keras().callbacks.Callback()
    setattr(callback, hook, lambda *_, **__: change(callback))
    with pytest.raises(ConfigurationError, match=message):
        train(reviews, RECIPE, 5, tmp_path, callbacks=[callback])
