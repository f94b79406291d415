"""Callbacks of Keras that follow training, and may not change it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from imdb_classifier.errors import ConfigurationError
from imdb_classifier.model.keras_backend import import_keras

if TYPE_CHECKING:
    import keras


class Watching:
    """Calls the user's callbacks as if one call of Keras' `fit` trained all epochs.

    Each epoch is a `fit` of its own, and its validation follows it.

    Args:
        callbacks: The user's callbacks.
        model: The compiled model.
        epochs: Total number of epochs.
        steps: Number of batches per epoch.
    """

    def __init__(
        self,
        callbacks: Sequence[keras.callbacks.Callback],
        model: keras.Model,
        epochs: int,
        steps: int,
    ) -> None:
        keras = import_keras()
        self._model, self._any = model, bool(callbacks)
        self._list = keras.callbacks.CallbackList(
            list(callbacks), model=model, epochs=epochs, steps=steps, verbose=0
        )

    def call(self, hook: str, *arguments: Any) -> None:
        """Call a method of each callback.

        Raises:
            ConfigurationError: A callback has changed what decides the weights.
        """
        if self._any:
            with self._unchanged(hook):
                getattr(self._list, hook)(*arguments)

    def steps(self, stepped: Callable[[int], None]) -> keras.callbacks.Callback:
        """Return a callback that passes the steps of an epoch on.

        Args:
            stepped: Called after every step with its number, from 1.
        """
        watching = self

        class Steps(import_keras().callbacks.Callback):  # type: ignore[misc]
            def on_train_batch_begin(
                self, batch: int, logs: Mapping[str, Any] | None = None
            ) -> None:
                watching.call("on_train_batch_begin", batch, logs)

            def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
                watching.call("on_train_batch_end", batch, logs)
                stepped(batch + 1)

        return Steps()

    @contextmanager
    def _unchanged(self, hook: str) -> Iterator[None]:
        before = self._state()
        yield
        after = self._state()
        if self._model.stop_training:
            self._model.stop_training = False
            raise _changing(hook, "stopped training")
        if len(before) != len(after) or not all(map(np.array_equal, before, after)):
            raise _changing(hook, "changed weights or the learning rate")

    def _state(self) -> list[Any]:
        optimizer = self._model.optimizer
        return [np.asarray(value) for value in (*self._model.variables, *optimizer.variables)]


def _changing(hook: str, what: str) -> ConfigurationError:
    return ConfigurationError(
        "Callbacks may follow training, not change it: the same recipe must give the same weights.",
        f"In {hook}, one of `callbacks` {what}.",
        "Set epochs and learning rate in a recipe of your own, or leave this callback out.",
    )
