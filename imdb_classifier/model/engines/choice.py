"""What every engine does, and which one scores on this machine."""

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
    """Anything that gives token sequences their probabilities; threads may call it side by side.

    Attributes:
        name: What computes, for people.
    """

    name: str

    def probabilities(self, sequences: TokenSequences) -> NDArray[np.float32]:
        """The probability of positive of each review: float32, (reviews,), in row order."""
        ...


def fastest_engine(model: bytes, recipe: Recipe, ngrams: Ngrams | None = None) -> Engine:
    """The compiled engine where the extra ``fast`` is installed, else ONNX Runtime.

    Args:
        model: The serialized graph that `onnx_export.to_onnx` built.
        recipe: What it was built from.
        ngrams: The n-grams that have a weight in it, if any.
    """
    if find_spec("llvmlite") and find_spec("onnx"):
        return CompiledEngine(weights_of(model), recipe, ngrams)
    return OnnxEngine(model, ngrams)
