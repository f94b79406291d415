"""Token sequences to probabilities: ONNX Runtime for everyday use, Keras as the reference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from imdb_classifier.batching import length_buckets, pad_for, pad_right
from imdb_classifier.config import Recipe
from imdb_classifier.encoding import TokenSequences

if TYPE_CHECKING:
    import keras

BATCH_ROWS: Final = 64
"""Reviews of one network call; what is fastest on AVX-512 and AVX2 processors."""


class Engine(Protocol):
    """Anything that gives token sequences their probabilities."""

    def probabilities(self, sequences: TokenSequences) -> NDArray[np.float32]:
        """The probability of positive of each review: float32, (reviews,), in row order."""
        ...


class OnnxEngine:
    """A network run by ONNX Runtime, one thread a call; threads may call it side by side.

    Args:
        model: The serialised graph that `export.to_onnx` built.
    """

    def __init__(self, model: bytes) -> None:
        options = onnxruntime.SessionOptions()
        # Parallelism comes from callers, one chunk of rows a thread: a recurrent step is too
        # little work to be shared out.
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            model, options, providers=["CPUExecutionProvider"]
        )

    def probabilities(self, sequences: TokenSequences) -> NDArray[np.float32]:
        """See `Engine`."""
        result = np.empty(len(sequences), dtype=np.float32)
        for rows in length_buckets(sequences.lengths, BATCH_ROWS):
            batch = sequences.take(rows)
            (result[rows],) = self._session.run(
                None,
                {
                    "token_ids": np.ascontiguousarray(pad_right(batch).T),
                    "lengths": batch.lengths.astype(np.int32),
                },
            )
        return result


class KerasEngine:
    """The Keras network itself, fed as in training.

    Args:
        model: A network that `network.build_network` made.
        recipe: What it was built from.
    """

    def __init__(self, model: keras.Model, recipe: Recipe) -> None:
        self._model = model
        self._recipe = recipe

    def probabilities(self, sequences: TokenSequences) -> NDArray[np.float32]:
        """See `Engine`."""
        result = np.empty(len(sequences), dtype=np.float32)
        for rows in length_buckets(sequences.lengths, BATCH_ROWS):
            padded = pad_for(self._recipe, sequences.take(rows))
            result[rows] = self._model.predict_on_batch(padded)[:, 0]
        return result
