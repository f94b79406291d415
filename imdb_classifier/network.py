"""The layer graph: configuration in, `keras.Model` out, and its weights by name."""

from __future__ import annotations

import os
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from imdb_classifier.config import (
    NO_REGULARISATION,
    EncodingConfig,
    NetworkConfig,
    RegularisationConfig,
)
from imdb_classifier.errors import MissingExtraError

if TYPE_CHECKING:
    import keras

_START_UP_MESSAGE = re.compile(
    rb"WARNING: All log messages before absl::InitializeLog|[IW]0000 [\d:.]+ +\d+ \w+\.cc:\d+\]"
)


_SMALLEST_SCALE = 1e-30
"""Of a table that is all zero."""


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
    # `build_network` says why the mask is not missed.
    warnings.filterwarnings("ignore", r"Layer 'global_max_pooling1d.*\n?.*mask", UserWarning)
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


def build_network(
    encoding: EncodingConfig,
    network: NetworkConfig,
    regularisation: RegularisationConfig = NO_REGULARISATION,
) -> keras.Model:
    """A network with fresh weights.

    Takes int32 token ids, (batch, time), then the slots of word pairs, likewise, if it has any; and
    gives float32 probabilities of positive, (batch, 1). Masked networks take any number of steps;
    the others exactly ``encoding.sequence_length``.

    Without word pairs it is ``Embedding -> LSTM -> Dense(1, sigmoid)``. With them, the vector of a
    word and that of its pair with the word in front are added up (Joulin et al., 2016, on hashed
    pairs), an LSTM reads them in each direction, and its states are pooled over time (Johnson and
    Zhang, 2016): largest values, zero included, and means, beside the mean of the vectors.

    Raises:
        MissingExtraError: Keras or TensorFlow is not installed.
    """
    keras = import_keras()
    layers = keras.layers
    steps = None if network.masked else encoding.sequence_length
    words = layers.Embedding(
        encoding.num_words, network.embedding_dim, mask_zero=network.masked, name="words"
    )
    token_ids = keras.Input(shape=(steps,), dtype="int32", name="token_ids")
    positive = layers.Dense(1, activation="sigmoid", name="positive")
    if not network.pair_slots:
        return keras.Sequential(
            [token_ids, words, layers.LSTM(network.lstm_units, name="lstm"), positive],
            name="imdb_classifier",
        )
    pairs = layers.Embedding(
        network.pair_slots, network.embedding_dim, mask_zero=True, name="pairs"
    )
    pair_slots = keras.Input(shape=(steps,), dtype="int32", name="pair_slots")
    vectors = layers.Add(name="vectors")([words(token_ids), pairs(pair_slots)])
    dropped = layers.SpatialDropout1D(regularisation.input_dropout)(vectors)
    lstm = layers.LSTM(network.lstm_units, return_sequences=True, name="lstm")
    states = layers.Bidirectional(lstm, name="directions")(dropped)
    # What padding leaves is 0 or a repeated state, so a maximum with 0 never sees it.
    peaks = layers.ReLU()(layers.GlobalMaxPooling1D()(states))
    pooled = [peaks, *(layers.GlobalAveragePooling1D()(values) for values in (states, vectors))]
    review = layers.Concatenate(name="review")(pooled)
    return keras.Model(
        [token_ids, pair_slots],
        positive(layers.Dropout(regularisation.output_dropout)(review)),
        name="imdb_classifier",
    )


def with_vectors(network: keras.Model, size: int) -> keras.Model:
    """A network, to be trained, that gives document vectors of length 1 beside its probabilities.

    Args:
        network: One of word pairs that `build_network` made; the two share their layers.
        size: Of a vector.
    """
    keras = import_keras()
    head = keras.layers.Dense(size, name="vector")(network.get_layer("positive").input)
    unit = keras.layers.UnitNormalization(name="vectors_of_teachers")(head)
    return keras.Model(network.inputs, [network.output, unit], name="with_vectors")


def without_vectors(model: keras.Model) -> keras.Model:
    """The network that `with_vectors` was given."""
    keras = import_keras()
    return keras.Model(model.inputs, model.outputs[0], name="imdb_classifier")


@dataclass(frozen=True)
class LstmWeights:
    """One LSTM in Keras' layout; gates stand in the order i, f, c, o.

    Attributes:
        kernel: float32, (embedding_dim, 4 * units).
        recurrent_kernel: float32, (units, 4 * units).
        bias: float32, (4 * units,).
    """

    kernel: NDArray[np.float32]
    recurrent_kernel: NDArray[np.float32]
    bias: NDArray[np.float32]


@dataclass(frozen=True)
class NetworkWeights:
    """What a network has learned.

    Attributes:
        words: float32, (num_words, embedding_dim).
        pairs: float32, (pair_slots, embedding_dim), without rows where there are no pairs.
        directions: Its LSTM; with pairs, the one that reads forwards and the one backwards.
        output_kernel: float32, (features, 1). Features are the last state; with pairs, in this
            order: peaks forwards, peaks backwards, mean states forwards, mean states backwards,
            mean vector.
        output_bias: float32, (1,).
    """

    words: NDArray[np.float32]
    pairs: NDArray[np.float32]
    directions: tuple[LstmWeights, ...]
    output_kernel: NDArray[np.float32]
    output_bias: NDArray[np.float32]

    @classmethod
    def of(cls, model: keras.Model) -> NetworkWeights:
        """The weights of a network that `build_network` made."""

        def weights(name: str) -> list[NDArray[np.float32]]:
            return [np.asarray(w, np.float32) for w in model.get_layer(name).get_weights()]

        names = {layer.name for layer in model.layers}
        (words,) = weights("words")
        (pairs,) = weights("pairs") if "pairs" in names else (words[:0],)
        lstms = weights("directions" if "directions" in names else "lstm")
        directions = tuple(LstmWeights(*lstms[i : i + 3]) for i in range(0, len(lstms), 3))
        return cls(words, pairs, directions, *weights("positive"))

    @staticmethod
    def shapes(encoding: EncodingConfig, network: NetworkConfig) -> tuple[tuple[int, int], ...]:
        """The shapes that decide all others: words, pairs, then each direction's recurrence."""
        recurrence = (network.lstm_units, 4 * network.lstm_units)
        return (
            (encoding.num_words, network.embedding_dim),
            (network.pair_slots, network.embedding_dim),
            *([recurrence] * (2 if network.pair_slots else 1)),
        )

    def shape(self) -> tuple[tuple[int, ...], ...]:
        """What `shapes` says of a recipe, of these weights."""
        recurrences = (lstm.recurrent_kernel.shape for lstm in self.directions)
        return (self.words.shape, self.pairs.shape, *recurrences)


def eight_bits(table: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """A table as codes from -127 to 127 and their common scale.

    Returns:
        int8, of the table's shape; float32, (). Their product gives the same codes and scale again.
    """
    # A scale of 16 significant bits, rounded up: 127 times it is exact.
    largest = max(np.abs(table).max() / 127, _SMALLEST_SCALE)
    bits = np.array(largest, np.float32).view(np.int32)
    scale = ((bits + 0xFF) & ~0xFF).view(np.float32)
    return np.rint(table / scale).astype(np.int8), scale


def round_vectors(model: keras.Model) -> None:
    """Bring the vectors of words and pairs to what 8 bits hold, so that every copy is the same."""
    for name in ("words", "pairs"):
        layer = model.get_layer(name)
        codes, scale = eight_bits(np.asarray(layer.get_weights()[0], np.float32))
        layer.set_weights([codes * scale])
