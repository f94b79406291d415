"""The interface of the engines, and the choice of the fastest one that is installed."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from imdb_classifier.config import Recipe
from imdb_classifier.model.engines.compiled_engine import CompiledEngine
from imdb_classifier.model.engines.onnx_engine import OnnxEngine
from imdb_classifier.model.onnx_export import weights_of
from imdb_classifier.text.encoding import TokenSequences
from imdb_classifier.text.ngrams import Ngrams


class Engine(Protocol):
    """Computes probabilities from token sequences; several threads may call it at once.

    Attributes:
        name: Name of the engine, for messages.
    """

    name: str

    def probabilities(self, sequences: TokenSequences) -> NDArray[np.float32]:
        """Return each review's probability of *positive*: float32, (reviews,), in row order."""
        ...


def fastest_engine(model: bytes, recipe: Recipe, ngrams: Ngrams | None = None) -> Engine:
    """Return the compiled engine if the extra ``fast`` is installed, else ONNX Runtime.

    Args:
        model: The serialized graph from `onnx_export.to_onnx`.
        recipe: The recipe of the model.
        ngrams: The n-grams with a weight in the network, if any.
    """
    if find_spec("llvmlite") and find_spec("onnx"):
        return CompiledEngine(weights_of(model), recipe, ngrams)
    return OnnxEngine(model, ngrams)
