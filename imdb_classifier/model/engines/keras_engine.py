"""The engine that the other engines are tested against: Keras."""

from __future__ import annotations

from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from imdb_classifier.config import Recipe
from imdb_classifier.errors import BundleError
from imdb_classifier.model.keras_backend import import_keras
from imdb_classifier.model.network import build_network
from imdb_classifier.text.batching import length_buckets, padded
from imdb_classifier.text.encoding import TokenSequences
from imdb_classifier.text.ngrams import Ngrams, padded_ngrams

if TYPE_CHECKING:
    import keras

KERAS_BATCH_ROWS: Final = 64


class KerasEngine:
    """Runs the Keras network on the same inputs as in training, one call at a time.

    Args:
        model: A network from `network.build_network`.
        recipe: The recipe of the model.
        ngrams: The n-grams with a weight in the network, if any.
    """

    name: Final = "keras"

    def __init__(self, model: keras.Model, recipe: Recipe, ngrams: Ngrams | None = None) -> None:
        self._model = model
        self._recipe = recipe
        self._ngrams = ngrams
        # TensorFlow uses every core in each call, and traces the network again in parallel ones.
        self._running = Lock()

    @classmethod
    def load(cls, file: Path, recipe: Recipe, ngrams: Ngrams | None = None) -> Self:
        """Return the engine of a network in a file; of the file, only the weights are read.

        Args:
            file: The network, in Keras' format.
            recipe: The recipe of the model.
            ngrams: The n-grams with a weight in the network, if any.

        Raises:
            MissingExtraError: Keras or TensorFlow is not installed.
            BundleError: The weights do not fit the recipe.
        """
        import_keras("The engine keras")
        model = build_network(recipe.encoding, recipe.network, seed=0)  # every weight is replaced
        try:
            model.load_weights(file)
        except (OSError, LookupError, ValueError) as error:
            raise BundleError(
                f"{file} must hold the weights of a network of the recipe '{recipe.name}'.",
                f"Keras refuses it with {type(error).__name__}.",
                "Restore the bundle from a copy, or retrain the model.",
            ) from error
        return cls(model, recipe, ngrams)

    def probabilities(self, sequences: TokenSequences) -> NDArray[np.float32]:
        """See `Engine`."""
        result = np.empty(len(sequences), dtype=np.float32)
        for rows in length_buckets(sequences.lengths, KERAS_BATCH_ROWS):
            batch = sequences.take(rows)
            inputs: Any = padded(self._recipe, batch)
            if self._ngrams is not None:
                inputs = inputs, padded_ngrams(self._ngrams, batch), batch.lengths[:, None]
            with self._running:
                result[rows] = self._model.predict_on_batch(inputs)[:, 0]
        return result
