"""The fastest engine: an LSTM compiled for this CPU, in the extra ``fast``."""

from __future__ import annotations

import math
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from imdb_classifier.config import Recipe
from imdb_classifier.model.onnx_export import states_after_padding
from imdb_classifier.model.weights import LstmWeights, NetworkWeights
from imdb_classifier.text.batching import tokens_read
from imdb_classifier.text.encoding import TokenSequences
from imdb_classifier.text.ngrams import Ngrams

CACHE_LINE_BYTES: Final = 64


class CompiledEngine:
    """Runs the network with `lstm_kernel`.

    A review's probability has the same bits in any batch.

    Args:
        weights: The trained weights.
        recipe: The recipe of the model.
        ngrams: The n-grams with a weight in the network, if any.
        shape: Lanes and rows of a tile; by default, those of `lstm_kernel.tile_shape`.

    Raises:
        BundleError: The weights do not have the shapes that the recipe requires.
    """

    name: Final = "compiled"

    def __init__(
        self,
        weights: NetworkWeights,
        recipe: Recipe,
        ngrams: Ngrams | None = None,
        shape: tuple[int, int] | None = None,
    ) -> None:
        self._network = network = recipe.network
        # Compiled code does not check shapes.
        weights.check(recipe)
        self._ngram_sums = None if ngrams is None else NgramSums(ngrams, weights.ngram_weights)
        self._directions = [
            _Direction(weights.words, lstm, backwards, shape)
            for lstm, backwards in zip(weights.directions, (False, True), strict=False)
        ]
        output_kernel = weights.output_kernel[:, 0].astype(np.float64)
        of_states = 2 * network.lstm_units * len(weights.directions)
        self._output_kernel = output_kernel[:of_states]
        self._output_bias = float(weights.output_bias[0])
        self._words = len(weights.words)
        if ngrams is not None:
            # A word's contribution to the logit through the mean word vector.
            self._direct = weights.words.astype(np.float64) @ output_kernel[of_states:-1]
            self._of_ngrams = output_kernel[-1]
        longest = 0 if network.masked else recipe.encoding.sequence_length
        self._first = np.stack(states_after_padding(weights, longest), axis=1)

    def probabilities(self, sequences: TokenSequences) -> NDArray[np.float32]:
        """See `Engine`.

        Raises:
            IndexError: A token id is not in the vocabulary.
        """
        ids = sequences.ids
        if len(ids) == 0:
            return np.empty(0, np.float32)
        if ids.min() < 0 or ids.max() >= self._words:
            raise IndexError(f"a token id lies outside [0, {self._words})")
        read = tokens_read(self._network, sequences)
        first = self._first[np.maximum(len(self._first) - 1 - read.lengths, 0)]
        hidden, _, peaks, totals = np.concatenate(
            [direction.states(read, first) for direction in self._directions], axis=2
        ).swapaxes(0, 1)
        means = totals / read.lengths[:, None]
        features = np.concatenate([peaks, means], axis=1) if self._ngram_sums else hidden
        # Summed row by row: a matrix product may sum in an order that depends on the batch.
        logits = (features * self._output_kernel).sum(axis=1) + self._output_bias
        if self._ngram_sums:
            logits += np.add.reduceat(self._direct[read.ids], read.offsets[:-1]) / read.lengths
            roots = np.sqrt(sequences.lengths)
            logits += self._of_ngrams * (self._ngram_sums.of(sequences) / roots)
        probabilities: NDArray[np.float32] = (1 / (1 + np.exp(-logits))).astype(np.float32)
        return probabilities


class NgramSums:
    """The weights of a network's n-grams, laid out for `ngram_kernel`."""

    def __init__(self, ngrams: Ngrams, weights: NDArray[np.float32]) -> None:
        from imdb_classifier.model.engines import ngram_kernel

        self._seen_sizes = partial(ngram_kernel.seen_sizes, in_parts=ngrams.in_parts)
        self._sums = ngram_kernel.compile_sums(ngrams.in_parts)
        self._table, self._shift = ngram_kernel.table_of(
            ngrams.listed, weights[1 : len(ngrams) + 1]
        )
        # The LSTM of a bundle by itself has none.
        self._has_weights = bool(self._table.any())

    def of(self, sequences: TokenSequences) -> NDArray[np.float64]:
        """Return the sum of the weights of each review's different n-grams: float64, (reviews,)."""
        if not self._has_weights:
            return np.zeros(len(sequences))
        sizes = self._seen_sizes(sequences.lengths)
        listed, seen = np.empty((2, sizes.max()), np.int32)
        found = np.empty(len(sequences))
        ids = np.ascontiguousarray(sequences.ids)
        self._sums(
            *(self._table, self._shift, ids, sequences.offsets),
            *(sizes, listed, seen, found, len(sequences)),
        )
        return found


class _Direction:
    """An LSTM that reads in one direction, packed for `lstm_kernel`."""

    def __init__(
        self,
        vectors: NDArray[np.float32],
        lstm: LstmWeights,
        backwards: bool,
        shape: tuple[int, int] | None,
    ) -> None:
        from imdb_classifier.model.engines import lstm_kernel

        self._units = len(lstm.recurrent_kernel)
        self._lanes, self._rows = shape or lstm_kernel.tile_shape()
        self._lstm = lstm_kernel.compile_lstm(
            self._units, self._lanes, self._rows, backwards=backwards
        )
        self._space = lstm_kernel.space_size(self._units, self._lanes, self._rows)
        kernel, bias = self._packed(lstm.kernel), self._packed(lstm.bias)
        self._table = _aligned((len(vectors), *kernel.shape[1:]))
        np.matmul(
            vectors, kernel.reshape(len(kernel), -1), out=self._table.reshape(len(vectors), -1)
        )
        self._table += bias
        recurrent = self._packed(lstm.recurrent_kernel).swapaxes(0, 1)
        self._recurrent = _aligned(recurrent.shape)
        self._recurrent[...] = recurrent

    def states(self, sequences: TokenSequences, first: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return each review's last hidden state, cell state, peaks and totals.

        Args:
            sequences: The reviews; their ids are rows of the table.
            first: float32, (reviews, 2, units): initial hidden and cell states.

        Returns:
            float32, (reviews, 4, units).
        """
        width = self._table.shape[1] * self._lanes
        states = np.zeros((len(sequences), 4, width), np.float32)
        states[:, :2, : self._units] = first
        order = np.argsort(-sequences.lengths, kind="stable")
        tiles = -(-len(order) // self._rows)
        order = np.pad(order, (0, tiles * self._rows - len(order)), mode="edge")
        ids = np.ascontiguousarray(sequences.ids)
        space = _aligned((self._space,))
        self._lstm(
            *(self._table, self._recurrent, ids, sequences.offsets),
            *(order, states, space, tiles),
        )
        return states[:, :, : self._units]

    def _packed(self, gates: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return gates, (count, 4 * units), in the kernel's layout: (count, blocks, 4, lanes)."""
        # Sigmoid needs exp(-x), the candidate's tanh exp(-2x), both as powers of two.
        exponents = -np.array([[1.0], [1.0], [2.0], [1.0]]) / np.log(2)
        scaled = gates.reshape(-1, 4, self._units) * exponents
        padded = np.pad(scaled, ((0, 0), (0, 0), (0, -self._units % self._lanes)))
        blocks = padded.reshape(len(padded), 4, -1, self._lanes).swapaxes(1, 2)
        packed: NDArray[np.float32] = blocks.astype(np.float32)
        return packed


def _aligned(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return an empty array that starts at a cache line, so that no vector load straddles two."""
    size = 4 * math.prod(shape)
    memory = np.empty(size + CACHE_LINE_BYTES, np.uint8)
    start = -memory.ctypes.data % CACHE_LINE_BYTES
    return memory[start : start + size].view(np.float32).reshape(shape)
