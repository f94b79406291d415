"""The interface of the engines, and the choice of one of them."""

from __future__ import annotations

import logging
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from imdb_classifier.config import Recipe
from imdb_classifier.errors import (
    ConfigurationError,
    MissingExtraError,
    UnsupportedPackageError,
    first_line,
)
from imdb_classifier.model.engines import EngineChoice, EngineName
from imdb_classifier.model.engines.compiled_engine import CompiledEngine
from imdb_classifier.model.engines.keras_engine import KerasEngine
from imdb_classifier.model.engines.onnx_engine import OnnxEngine
from imdb_classifier.model.onnx_reader import weights_of
from imdb_classifier.text.encoding import TokenSequences
from imdb_classifier.text.ngrams import Ngrams

logger = logging.getLogger(__name__)


class Engine(Protocol):
    """Computes probabilities from token sequences; several threads may call it at once."""

    @property
    def name(self) -> EngineName:
        """The name that results show."""
        ...

    def probabilities(self, sequences: TokenSequences) -> NDArray[np.float32]:
        """Return each review's probability of *positive*: float32, (reviews,), in row order."""
        ...


def chosen_engine(
    choice: EngineChoice,
    model: bytes,
    keras_model: Path,
    recipe: Recipe,
    ngrams: Ngrams | None = None,
) -> Engine:
    """Return the engine that was chosen, with a model loaded.

    Args:
        choice: The engine. With ``auto``, ONNX Runtime scores if llvmlite is not installed, or does
            not work; the latter is logged.
        model: The serialized graph from `onnx_export.to_onnx`.
        keras_model: The file of the same network in Keras' format.
        recipe: The recipe of the model.
        ngrams: The n-grams with a weight in the network, if any.

    Raises:
        ConfigurationError: There is no such engine, or its package is not installed or broken.
        BundleError: The graph is not the one that `to_onnx` builds for this recipe.
    """
    if choice not in get_args(EngineChoice):
        raise ConfigurationError(
            "`engine` must be auto, compiled, onnx or keras.",
            f"It is {choice!r}.",
            "Choose one of these.",
        )
    # Checks the graph, whichever engine runs it.
    weights = weights_of(model, recipe)
    has_compiler = bool(find_spec("llvmlite"))
    if choice == "keras":
        return KerasEngine.load(keras_model, recipe, ngrams)
    if choice == "onnx" or (choice == "auto" and not has_compiler):
        return OnnxEngine(model, recipe, ngrams)
    if not has_compiler:
        raise MissingExtraError("The compiled engine", "llvmlite", "fast")
    try:
        return CompiledEngine(weights, recipe, ngrams)
    except Exception as error:  # whatever a broken installation raises
        if choice == "compiled":
            raise UnsupportedPackageError("llvmlite", error) from error
        _warn(f"{type(error).__name__}: {first_line(error)}")
        return OnnxEngine(model, recipe, ngrams)


@cache
def _warn(reason: str) -> None:
    """Log once, however many models are loaded, that the compiled engine cannot be had."""
    logger.warning(
        "The compiled engine is unavailable, because llvmlite fails (%s). ONNX Runtime scores "
        "instead, which is slower. Reinstall llvmlite, or choose the engine onnx.",
        reason,
    )
