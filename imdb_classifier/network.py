"""The layer graph: configuration in, `keras.Model` out, and its weights by name."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from imdb_classifier.config import EncodingConfig, NetworkConfig
from imdb_classifier.errors import MissingExtraError

if TYPE_CHECKING:
    import keras

_START_UP_MESSAGE = re.compile(
    rb"WARNING: All log messages before absl::InitializeLog|[IW]0000 [\d:.]+ +\d+ \w+\.cc:\d+\]"
)


def import_keras() -> Any:
    """The package keras, on TensorFlow: the backend that models are trained and checked with.

    Raises:
        MissingExtraError: Keras or TensorFlow is not installed.
    """
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    # What TensorFlow's own log holds besides pages about the processor, it raises as well.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        with _without_start_up_messages():
            import keras
            import tensorflow  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("Training a model", error.name or "tensorflow", "train") from error
    return keras


@contextmanager
def _without_start_up_messages() -> Iterator[None]:
    """Hold back what TensorFlow writes to file descriptor 2 before its log level counts."""
    sys.stderr.flush()
    standard_error = os.dup(2)
    with TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(standard_error, 2)
            os.close(standard_error)
            held.seek(0)
            for line in held:
                if not _START_UP_MESSAGE.match(line):
                    os.write(2, line)


def build_network(encoding: EncodingConfig, network: NetworkConfig) -> keras.Model:
    """``Embedding -> LSTM -> Dense(1, sigmoid)``, with fresh weights.

    Takes int32 token ids, (batch, time), and gives float32 probabilities of positive, (batch, 1).
    Masked networks take any number of steps; the others exactly ``encoding.sequence_length``.

    Raises:
        MissingExtraError: Keras or TensorFlow is not installed.
    """
    keras = import_keras()
    steps = None if network.masked else encoding.sequence_length
    return keras.Sequential(
        [
            keras.Input(shape=(steps,), dtype="int32", name="token_ids"),
            keras.layers.Embedding(
                encoding.num_words,
                network.embedding_dim,
                mask_zero=network.masked,
                name="words",
            ),
            keras.layers.LSTM(network.lstm_units, name="lstm"),
            keras.layers.Dense(1, activation="sigmoid", name="positive"),
        ],
        name="imdb_classifier",
    )


@dataclass(frozen=True)
class NetworkWeights:
    """What a network has learned, in Keras' layout; gates stand in the order i, f, c, o.

    Attributes:
        embedding: float32, (num_words, embedding_dim).
        kernel: float32, (embedding_dim, 4 * units).
        recurrent_kernel: float32, (units, 4 * units).
        bias: float32, (4 * units,).
        output_kernel: float32, (units, 1).
        output_bias: float32, (1,).
    """

    embedding: NDArray[np.float32]
    kernel: NDArray[np.float32]
    recurrent_kernel: NDArray[np.float32]
    bias: NDArray[np.float32]
    output_kernel: NDArray[np.float32]
    output_bias: NDArray[np.float32]

    @classmethod
    def of(cls, model: keras.Model) -> NetworkWeights:
        """The weights of a network that `build_network` made."""
        return cls(*(np.asarray(weight, dtype=np.float32) for weight in model.get_weights()))
