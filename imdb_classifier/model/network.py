"""The layer graph: configuration in, `keras.Model` out, and its weights by name."""

from __future__ import annotations

import os
import random
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

from imdb_classifier.config import EncodingConfig, NetworkConfig, RegularizationConfig
from imdb_classifier.errors import MissingExtraError
from imdb_classifier.text.encoding import PADDING

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
    except ModuleNotFoundError as error:
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


class _Layers:
    """Creates layers whose random numbers all derive from one seed.

    Without explicit seeds, Keras draws them from Python's global `random`, which it shares with
    every other thread of the process.
    """

    def __init__(self, seed: int) -> None:
        keras = import_keras()
        self._layers, self._initializers = keras.layers, keras.initializers
        self._random = random.Random(seed)

    def dense(self, units: int, **named: Any) -> keras.Layer:
        kernel = self._initializers.GlorotUniform(self._next_seed())
        return self._layers.Dense(units, kernel_initializer=kernel, **named)

    def embedding(self, rows: int, size: int, **named: Any) -> keras.Layer:
        table = self._initializers.RandomUniform(seed=self._next_seed())
        return self._layers.Embedding(rows, size, embeddings_initializer=table, **named)

    def lstm(self, units: int, **named: Any) -> keras.Layer:
        return self._layers.LSTM(
            units,
            kernel_initializer=self._initializers.GlorotUniform(self._next_seed()),
            recurrent_initializer=self._initializers.Orthogonal(seed=self._next_seed()),
            seed=self._next_seed(),
            **named,
        )

    def dropout(self, share: float) -> keras.Layer:
        return self._layers.Dropout(share, seed=self._next_seed())

    def spatial_dropout(self, share: float) -> keras.Layer:
        return self._layers.SpatialDropout1D(share, seed=self._next_seed())

    def _next_seed(self) -> int:
        return self._random.randint(1, 10**9)


def build_network(encoding: EncodingConfig, network: NetworkConfig, seed: int) -> keras.Model:
    """A network with fresh weights, which depend on the arguments alone.

    Takes int32 token ids, (batch, time), then the ids of the review's n-grams, (batch, n-grams),
    if it has any; and gives float32 probabilities of positive, (batch, 1). Masked networks take any
    number of steps; the others exactly ``encoding.sequence_length``.

    Without n-grams it is ``Embedding -> LSTM -> Dense(1, sigmoid)``. With them, an LSTM reads the
    words in each direction, and its states are pooled over time (Johnson and Zhang, 2016): largest
    values, zero included, and means, beside the mean of the vectors. One more feature is the sum of
    the polarities of the n-grams, over the root of the number of tokens (see `polarity`).

    Raises:
        MissingExtraError: Keras or TensorFlow is not installed.
    """
    keras = import_keras()
    ops, seeded = keras.ops, _Layers(seed)
    positive = seeded.dense(1, activation="sigmoid", name="positive")
    if not network.ngrams:
        steps = None if network.masked else encoding.sequence_length
        token_ids = keras.Input(shape=(steps,), dtype="int32", name="token_ids")
        lstm = seeded.lstm(network.lstm_units, name="lstm")
        return keras.Sequential(
            [token_ids, _words(seeded, encoding, network), lstm, positive], name="imdb_classifier"
        )
    token_ids, pooled = _read_both_ways(seeded, encoding, network, input_dropout=0.0)
    ngram_ids = keras.Input(shape=(None,), dtype="int32", name="ngram_ids")
    polarities = seeded.embedding(network.ngrams + 1, 1, name="polarities")(ngram_ids)
    tokens = ops.sum(ops.cast(ops.not_equal(token_ids, PADDING), "float32"), axis=1, keepdims=True)
    polarity = ops.divide(ops.sum(polarities, axis=1), ops.sqrt(tokens))
    review = keras.layers.Concatenate(name="review_and_polarity")([pooled, polarity])
    return keras.Model([token_ids, ngram_ids], positive(review), name="imdb_classifier")


def build_student(
    encoding: EncodingConfig,
    network: NetworkConfig,
    regularization: RegularizationConfig,
    vector_size: int,
    seed: int,
) -> keras.Model:
    """The part of a network with n-grams that learns by steps, with fresh weights.

    Takes token ids, and gives probabilities by its LSTMs alone, and the vectors of reviews, of
    length 1, (batch, vector_size), that teachers have it learn beside them. The weights depend on
    the arguments alone.
    """
    keras, seeded = import_keras(), _Layers(seed)
    token_ids, pooled = _read_both_ways(seeded, encoding, network, regularization.input_dropout)
    dropped = seeded.dropout(regularization.output_dropout)(pooled)
    positive = seeded.dense(1, activation="sigmoid", name="positive")(dropped)
    vectors = seeded.dense(vector_size, name="vector")(dropped)
    unit = keras.layers.UnitNormalization(name="vectors_of_teachers")(vectors)
    return keras.Model(token_ids, [positive, unit], name="student")


def without_vectors(student: keras.Model) -> keras.Model:
    """A student, with its weights, that gives probabilities alone."""
    return import_keras().Model(student.inputs, student.outputs[0], name="student")


def _words(seeded: _Layers, encoding: EncodingConfig, network: NetworkConfig) -> keras.Layer:
    return seeded.embedding(
        encoding.num_words, network.embedding_dim, mask_zero=network.masked, name="words"
    )


def _read_both_ways(
    seeded: _Layers, encoding: EncodingConfig, network: NetworkConfig, input_dropout: float
) -> tuple[Any, Any]:
    """The token ids, and the features of a review that an LSTM in each direction reads of them."""
    keras = import_keras()
    layers = keras.layers
    token_ids = keras.Input(shape=(None,), dtype="int32", name="token_ids")
    vectors = _words(seeded, encoding, network)(token_ids)
    dropped = seeded.spatial_dropout(input_dropout)(vectors)
    # By default, `Bidirectional` copies the forward layer, seeds included.
    forward, backward = (
        seeded.lstm(
            network.lstm_units, return_sequences=True, go_backwards=backwards, name=f"{name}_lstm"
        )
        for name, backwards in (("forward", False), ("backward", True))
    )
    states = layers.Bidirectional(forward, backward_layer=backward, name="directions")(dropped)
    # What padding leaves is 0 or a repeated state, so a maximum with 0 never sees it.
    peaks = layers.ReLU()(layers.GlobalMaxPooling1D()(states))
    means = [layers.GlobalAveragePooling1D()(values) for values in (states, vectors)]
    return token_ids, layers.Concatenate(name="review")([peaks, *means])


def join(
    student: keras.Model,
    polarities: NDArray[np.float32],
    shares: tuple[float, float],
    encoding: EncodingConfig,
    network: NetworkConfig,
) -> keras.Model:
    """The network of a student and of n-grams, whose log-odds are the weighted sum of theirs.

    Args:
        student: What `build_student` gave, trained.
        polarities: float32, (ngrams + 1,), by the n-gram's id; 0 for padding.
        shares: The weights of the student's log-odds and of the n-grams'.
        encoding: What the student was built from.
        network: Likewise.
    """
    joined = build_network(encoding, network, seed=0)  # every weight is replaced
    for name in ("words", "directions"):
        joined.get_layer(name).set_weights(student.get_layer(name).get_weights())
    joined.get_layer("polarities").set_weights([polarities[:, None]])
    kernel, bias = student.get_layer("positive").get_weights()
    of_student, of_ngrams = shares
    kernel = np.concatenate([of_student * kernel, [[of_ngrams]]]).astype(np.float32)
    joined.get_layer("positive").set_weights([kernel, of_student * bias])
    return joined


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
        polarities: float32, (ngrams + 1,), by the n-gram's id; (0,) where there are no n-grams.
        directions: Its LSTM; with n-grams, the one that reads forwards and the one backwards.
        output_kernel: float32, (features, 1). Features are the last state; with n-grams, in this
            order: peaks forwards, peaks backwards, mean states forwards, mean states backwards,
            mean vector, polarity.
        output_bias: float32, (1,).
    """

    words: NDArray[np.float32]
    polarities: NDArray[np.float32]
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
        (polarities,) = weights("polarities") if "polarities" in names else (words[:0],)
        lstms = weights("directions" if "directions" in names else "lstm")
        directions = tuple(LstmWeights(*lstms[i : i + 3]) for i in range(0, len(lstms), 3))
        return cls(words, polarities.reshape(-1), directions, *weights("positive"))

    @staticmethod
    def shapes(encoding: EncodingConfig, network: NetworkConfig) -> tuple[tuple[int, ...], ...]:
        """The shapes that decide all others: words, polarities, each direction's recurrence."""
        recurrence = (network.lstm_units, 4 * network.lstm_units)
        return (
            (encoding.num_words, network.embedding_dim),
            (network.ngrams + 1 if network.ngrams else 0,),
            *([recurrence] * (2 if network.ngrams else 1)),
        )

    def shape(self) -> tuple[tuple[int, ...], ...]:
        """What `shapes` says of a recipe, of these weights."""
        recurrences = (lstm.recurrent_kernel.shape for lstm in self.directions)
        return (self.words.shape, self.polarities.shape, *recurrences)


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


def rounded(table: NDArray[np.float32]) -> NDArray[np.float32]:
    """A table brought to what 8 bits hold, so that every copy of it is the same."""
    codes, scale = eight_bits(table)
    return codes * scale
