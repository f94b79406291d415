"""The engine that the other engines are tested against: Keras."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from imdb_classifier.config import Recipe
from imdb_classifier.text.batching import length_buckets, padded
from imdb_classifier.text.encoding import TokenSequences
from imdb_classifier.text.ngrams import Ngrams, padded_ngrams

if TYPE_CHECKING:
    import keras

KERAS_BATCH_ROWS: Final = 64


class KerasEngine:
    """Runs the Keras network on the same inputs as in training.

    Args:
        model: A network from `network.build_network`.
        recipe: The recipe of the model.
        ngrams: The n-grams with a weight in the network, if any.
    """

    name = "Keras"

    def __init__(self, model: keras.Model, recipe: Recipe, ngrams: Ngrams | None = None) -> None:
        self._model = model
        self._recipe = recipe
        self._ngrams = ngrams

    def probabilities(self, sequences: TokenSequences) -> NDArray[np.float32]:
        """See `Engine`."""
        result = np.empty(len(sequences), dtype=np.float32)
        for rows in length_buckets(sequences.lengths, KERAS_BATCH_ROWS):
            batch = sequences.take(rows)
            inputs: Any = padded(self._recipe, batch)
            if self._ngrams is not None:
                inputs = inputs, padded_ngrams(self._ngrams, batch)
            result[rows] = self._model.predict_on_batch(inputs)[:, 0]
        return result
