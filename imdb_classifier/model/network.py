"""The Keras networks, built from their configuration."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from imdb_classifier.config import EncodingConfig, NetworkConfig, RegularizationConfig
from imdb_classifier.model.keras_backend import import_keras
from imdb_classifier.model.weights import NGRAM_WEIGHTS_LAYER

if TYPE_CHECKING:
    import keras


class _Layers:
    """Creates layers whose random numbers all derive from one seed.

    Without explicit seeds, Keras draws them from Python's global `random`, which all threads of the
    process share.
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
    """Return a network with fresh weights, which depend only on the arguments.

    Its inputs are int32 token ids, (batch, time), and, in a network with n-grams, int32 n-gram ids,
    (batch, n-grams), and the numbers of tokens in the reviews, int32, (batch, 1); its outputs are
    float32 probabilities of *positive*, (batch, 1). Masked networks take any number of steps;
    others take exactly ``encoding.sequence_length``.

    Without n-grams, the network is ``Embedding -> LSTM -> Dense(1, sigmoid)``. With n-grams, an
    LSTM reads the words in each direction. The features are its states pooled over time (Johnson
    and Zhang, 2016) by maximum, zero included, and by mean; the mean word vector; and the sum of
    the n-gram weights, divided by the square root of the number of tokens (see `ngram_weights`).

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
    weights = seeded.embedding(network.ngrams + 1, 1, name=NGRAM_WEIGHTS_LAYER)(ngram_ids)
    lengths = keras.Input(shape=(1,), dtype="int32", name="lengths")
    root = ops.sqrt(ops.cast(lengths, "float32"))
    ngram_log_odds = ops.divide(ops.sum(weights, axis=1), root)
    review = keras.layers.Concatenate(name="review_and_ngrams")([pooled, ngram_log_odds])
    return keras.Model([token_ids, ngram_ids, lengths], positive(review), name="imdb_classifier")


def build_student(
    encoding: EncodingConfig,
    network: NetworkConfig,
    regularization: RegularizationConfig,
    vector_size: int,
    seed: int,
) -> keras.Model:
    """Return the part of a network with n-grams that gradient descent trains, with fresh weights.

    Its inputs are token ids; its outputs are the probabilities by its LSTMs alone, (batch, 1), and,
    unless the size is 0, its predictions of the teachers' document vectors, (batch, vector_size),
    of length 1. The weights depend only on the arguments.
    """
    keras, seeded = import_keras(), _Layers(seed)
    token_ids, pooled = _read_both_ways(seeded, encoding, network, regularization.input_dropout)
    dropped = seeded.dropout(regularization.output_dropout)(pooled)
    positive = seeded.dense(1, activation="sigmoid", name="positive")(dropped)
    if vector_size == 0:
        return keras.Model(token_ids, [positive], name="student")
    vectors = seeded.dense(vector_size, name="vector")(dropped)
    unit = keras.layers.UnitNormalization(name="vectors_of_teachers")(vectors)
    return keras.Model(token_ids, [positive, unit], name="student")


def without_vectors(student: keras.Model) -> keras.Model:
    """Return a model that shares the student's weights and outputs only its probabilities."""
    return import_keras().Model(student.inputs, student.outputs[0], name="student")


def _words(seeded: _Layers, encoding: EncodingConfig, network: NetworkConfig) -> keras.Layer:
    return seeded.embedding(
        encoding.num_words, network.embedding_dim, mask_zero=network.masked, name="words"
    )


def _read_both_ways(
    seeded: _Layers, encoding: EncodingConfig, network: NetworkConfig, input_dropout: float
) -> tuple[Any, Any]:
    """Return the input of token ids, and the pooled features of an LSTM in each direction."""
    keras = import_keras()
    layers, ops = keras.layers, keras.ops
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
    # At padding, states are 0 or repeat the previous one, so a maximum with 0 needs no mask.
    peaks = ops.relu(ops.max(states, axis=1))
    means = [layers.GlobalAveragePooling1D()(values) for values in (states, vectors)]
    return token_ids, layers.Concatenate(name="review")([peaks, *means])


def join(
    student: keras.Model,
    ngram_weights: NDArray[np.float32],
    shares: tuple[float, float],
    bias: float,
    encoding: EncodingConfig,
    network: NetworkConfig,
) -> keras.Model:
    """Return a network whose log-odds are a weighted sum of the student's and the n-grams'.

    Args:
        student: A trained network from `build_student`.
        ngram_weights: float32, (ngrams + 1,), by n-gram id; that of padding is 0.
        shares: The weights of the student's log-odds and of the n-grams' log-odds.
        bias: Added to their sum.
        encoding: The encoding that the student was built with.
        network: The architecture that the student was built with.
    """
    joined = build_network(encoding, network, seed=0)  # every weight is replaced
    for name in ("words", "directions"):
        joined.get_layer(name).set_weights(student.get_layer(name).get_weights())
    joined.get_layer(NGRAM_WEIGHTS_LAYER).set_weights([ngram_weights[:, None]])
    kernel, student_bias = student.get_layer("positive").get_weights()
    of_student, of_ngrams = shares
    kernel = np.concatenate([of_student * kernel, [[of_ngrams]]]).astype(np.float32)
    joined.get_layer("positive").set_weights([kernel, of_student * student_bias + bias])
    return joined


def with_changed_output(
    model: keras.Model,
    scale: float,
    bias: float,
    ngram_weights: NDArray[np.float32] | None,
    encoding: EncodingConfig,
    network: NetworkConfig,
) -> keras.Model:
    """Return a network with other log-odds, whose embeddings and LSTMs are those of a model.

    Args:
        model: A trained network from `build_network`.
        scale: Factor of its log-odds.
        bias: What is added to them.
        ngram_weights: float32, (ngrams + 1,), by n-gram id; that of padding is 0. None for a
            network without n-grams.
        encoding: The encoding that the model was built with.
        network: The architecture of the result, which may have another number of n-grams.
    """
    changed = build_network(encoding, network, seed=0)  # every weight is replaced
    for layer in model.layers:
        if layer.get_weights() and layer.name not in (NGRAM_WEIGHTS_LAYER, "positive"):
            changed.get_layer(layer.name).set_weights(layer.get_weights())
    if ngram_weights is not None:
        changed.get_layer(NGRAM_WEIGHTS_LAYER).set_weights([ngram_weights[:, None]])
    kernel, old_bias = model.get_layer("positive").get_weights()
    changed.get_layer("positive").set_weights([scale * kernel, scale * old_bias + bias])
    return changed
