"""Token sequences to probabilities.

`CompiledEngine` is the fastest and needs the extra ``fast``; `OnnxEngine` does without it;
`KerasEngine` is the reference that both are tested against.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from imdb_classifier.batching import length_buckets, pad_for, pad_right
from imdb_classifier.config import Recipe
from imdb_classifier.encoding import TokenSequences
from imdb_classifier.errors import BundleError
from imdb_classifier.export import states_after_padding, weights_of
from imdb_classifier.network import NetworkWeights

if TYPE_CHECKING:
    import keras

BATCH_ROWS: Final = 24
"""Reviews of one call of ONNX Runtime: enough for its matrix product, and few enough for what it
computes of all their steps beforehand to stay in the cache."""
KERAS_BATCH_ROWS: Final = 64

CACHE_LINE_BYTES: Final = 64


class Engine(Protocol):
    """Anything that gives token sequences their probabilities; threads may call it side by side.

    Attributes:
        name: What computes, for people.
    """

    name: str

    def probabilities(self, sequences: TokenSequences) -> NDArray[np.float32]:
        """The probability of positive of each review: float32, (reviews,), in row order."""
        ...


def fastest_engine(model: bytes, recipe: Recipe) -> Engine:
    """The compiled engine where the extra ``fast`` is installed, else ONNX Runtime.

    Args:
        model: The serialised graph that `export.to_onnx` built.
        recipe: What it was built from.
    """
    if find_spec("llvmlite") and find_spec("onnx"):
        return CompiledEngine(weights_of(model), recipe)
    return OnnxEngine(model)


class CompiledEngine:
    """A network run by `lstm_kernel`.

    A review's probability is the same to the last bit beside any neighbours.

    Args:
        weights: What the network has learned.
        recipe: What it was built from.
        shape: Lanes and rows of a tile; by default what fits this processor.

    Raises:
        BundleError: The weights are not those of such a network.
    """

    name = "compiled LSTM"

    def __init__(
        self, weights: NetworkWeights, recipe: Recipe, shape: tuple[int, int] | None = None
    ) -> None:
        from imdb_classifier import lstm_kernel

        self._units = recipe.network.lstm_units
        # Compiled code looks at no shapes.
        for found, expected in (
            (weights.embedding.shape, (recipe.encoding.num_words, recipe.network.embedding_dim)),
            (weights.recurrent_kernel.shape, (self._units, 4 * self._units)),
        ):
            if found != expected:
                raise BundleError(
                    f"The recipe '{recipe.name}' has weights of the shape {expected}.",
                    f"The model's are of {found}.",
                    "Restore the bundle from a copy, or train the model again.",
                )
        self._lanes, self._rows = shape or lstm_kernel.tile_shape()
        self._width = -(-self._units // self._lanes) * self._lanes
        self._lstm = lstm_kernel.compile_lstm(self._units, self._lanes, self._rows)
        embedding = weights.embedding.astype(np.float64)
        self._table = _aligned(self._packed(embedding @ weights.kernel + weights.bias))
        self._recurrent = _aligned(self._packed(weights.recurrent_kernel).swapaxes(0, 1))
        self._output_kernel = weights.output_kernel[:, 0].astype(np.float64)
        self._output_bias = float(weights.output_bias[0])
        self._masked = recipe.network.masked
        longest = 0 if self._masked else recipe.encoding.sequence_length
        self._hidden, self._cell = (
            np.pad(states, ((0, 0), (0, self._width - self._units)))
            for states in states_after_padding(weights, longest)
        )

    def probabilities(self, sequences: TokenSequences) -> NDArray[np.float32]:
        """See `Engine`.

        Raises:
            IndexError: A token id is not in the vocabulary.
        """
        ids, lengths = sequences.ids, sequences.lengths
        if len(ids) == 0:
            return np.empty(0, np.float32)
        if ids.min() < 0 or ids.max() >= len(self._table):
            raise IndexError(f"a token id lies outside [0, {len(self._table)})")
        padding = np.zeros_like(lengths) if self._masked else len(self._hidden) - 1 - lengths
        hidden, cell = self._hidden[padding], self._cell[padding]
        order = np.argsort(-lengths, kind="stable")
        tiles = -(-len(order) // self._rows)
        order = np.pad(order, (0, tiles * self._rows - len(order)), mode="edge")
        self._lstm(self._table, self._recurrent, ids, sequences.offsets, order, hidden, cell, tiles)
        # Summed row by row: a matrix product may add up in another order for other neighbours.
        weighted = hidden[:, : self._units] * self._output_kernel
        exponentials = np.exp(-weighted.sum(axis=1) - self._output_bias)
        probabilities: NDArray[np.float32] = (1 / (1 + exponentials)).astype(np.float32)
        return probabilities

    def _packed(self, gates: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        """Gates, (count, 4 * units), as the kernel takes them: (count, blocks, 4, lanes)."""
        # Sigmoid needs exp(-x), the candidate's tanh exp(-2x), both as powers of two.
        exponents = -np.array([[1.0], [1.0], [2.0], [1.0]]) / np.log(2)
        scaled = gates.reshape(-1, 4, self._units) * exponents
        padded = np.pad(scaled, ((0, 0), (0, 0), (0, self._width - self._units)))
        blocks = padded.reshape(len(padded), 4, -1, self._lanes).swapaxes(1, 2)
        packed: NDArray[np.float32] = blocks.astype(np.float32)
        return packed


class OnnxEngine:
    """A network run by ONNX Runtime, one thread a call.

    Args:
        model: The serialised graph that `export.to_onnx` built.
    """

    name = "ONNX Runtime"

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

    name = "Keras"

    def __init__(self, model: keras.Model, recipe: Recipe) -> None:
        self._model = model
        self._recipe = recipe

    def probabilities(self, sequences: TokenSequences) -> NDArray[np.float32]:
        """See `Engine`."""
        result = np.empty(len(sequences), dtype=np.float32)
        for rows in length_buckets(sequences.lengths, KERAS_BATCH_ROWS):
            padded = pad_for(self._recipe, sequences.take(rows))
            result[rows] = self._model.predict_on_batch(padded)[:, 0]
        return result


def _aligned(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """A copy that starts at a cache line, so that no vector load straddles two."""
    memory = np.empty(values.nbytes + CACHE_LINE_BYTES, np.uint8)
    start = -memory.ctypes.data % CACHE_LINE_BYTES
    copy = memory[start : start + values.nbytes].view(np.float32).reshape(values.shape)
    copy[...] = values
    return copy
