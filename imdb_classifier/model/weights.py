"""The weights of a network by name, and their rounding to 8 bits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from imdb_classifier.config import Recipe
from imdb_classifier.errors import BundleError

if TYPE_CHECKING:
    import keras

NGRAM_WEIGHTS_LAYER: Final = "polarities"
"""The name of the n-gram weights in Keras models and ONNX graphs, as in the bundled model."""

_SMALLEST_SCALE: Final = 1e-30
"""Scale of a table of zeros."""


@dataclass(frozen=True)
class LstmWeights:
    """The weights of one LSTM in Keras' layout; the order of the gates is i, f, c, o.

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
    """The trained weights of a network.

    Attributes:
        words: float32, (num_words, embedding_dim).
        ngram_weights: float32, (ngrams + 1,), by n-gram id; (0,) without n-grams.
        directions: The LSTM; with n-grams, the forward LSTM and the backward LSTM.
        output_kernel: float32, (features, 1). The features are the last state; with n-grams, in
            this order: forward peaks, backward peaks, forward mean states, backward mean states,
            mean word vector, log-odds of the n-grams.
        output_bias: float32, (1,).
    """

    words: NDArray[np.float32]
    ngram_weights: NDArray[np.float32]
    directions: tuple[LstmWeights, ...]
    output_kernel: NDArray[np.float32]
    output_bias: NDArray[np.float32]

    @classmethod
    def of(cls, model: keras.Model) -> NetworkWeights:
        """Return the weights of a network from `network.build_network`."""

        def weights(name: str) -> list[NDArray[np.float32]]:
            return [np.asarray(w, np.float32) for w in model.get_layer(name).get_weights()]

        names = {layer.name for layer in model.layers}
        (words,) = weights("words")
        has_ngrams = NGRAM_WEIGHTS_LAYER in names
        (ngram_weights,) = weights(NGRAM_WEIGHTS_LAYER) if has_ngrams else (words[:0],)
        lstms = weights("directions" if has_ngrams else "lstm")
        directions = tuple(LstmWeights(*lstms[i : i + 3]) for i in range(0, len(lstms), 3))
        return cls(words, ngram_weights.reshape(-1), directions, *weights("positive"))

    def check(self, recipe: Recipe) -> None:
        """Check that these can be the weights of a recipe's network.

        Raises:
            BundleError: An array does not have the shape or type that the recipe requires.
        """
        network = recipe.network
        units, size = network.lstm_units, network.embedding_dim
        expected: dict[str, tuple[int, ...]] = {
            "words": (recipe.encoding.num_words, size),
            "ngram_weights": (network.ngrams + 1 if network.ngrams else 0,),
            "output_kernel": (4 * units + size + 1 if network.ngrams else units, 1),
            "output_bias": (1,),
        }
        found = {name: values for name, values in vars(self).items() if name != "directions"}
        for number, lstm in enumerate(self.directions, 1):
            found |= {f"{name} {number}": values for name, values in vars(lstm).items()}
        for number in range(1, 3 if network.ngrams else 2):
            expected |= {
                f"kernel {number}": (size, 4 * units),
                f"recurrent_kernel {number}": (units, 4 * units),
                f"bias {number}": (4 * units,),
            }
        kinds = {
            name: values.shape if values.dtype == np.float32 else (values.dtype,)
            for name, values in found.items()
        }
        if kinds != expected:
            raise BundleError(
                f"Weights of the recipe '{recipe.name}' must be float32 of the shapes {expected}.",
                f"This model's weights have the shapes {kinds}.",
                "Restore the bundle from a copy, or retrain the model.",
            )


def eight_bits(table: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Return a table as codes from -127 to 127 and their common scale.

    Returns:
        int8, of the table's shape; float32, (). Their product gives the same codes and scale again.
    """
    # The scale is rounded up to 16 significant bits, so that 127 times the scale is exact.
    largest = max(np.abs(table).max() / 127, _SMALLEST_SCALE)
    bits = np.array(largest, np.float32).view(np.int32)
    scale = ((bits + 0xFF) & ~0xFF).view(np.float32)
    return np.rint(table / scale).astype(np.int8), scale


def rounded(table: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a table rounded to 8 bits, so that its copies in Keras and ONNX have equal values."""
    codes, scale = eight_bits(table)
    return codes * scale
