"""Keras on TensorFlow, imported only where models are trained or checked."""

from __future__ import annotations

import os
from typing import Any

from imdb_classifier.errors import MissingExtraError


def import_keras() -> Any:
    """The package keras, on TensorFlow.

    Raises:
        MissingExtraError: Keras or TensorFlow is not installed.
    """
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    # What TensorFlow's own log holds besides pages about the processor, it raises as well.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        import keras
        import tensorflow  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingExtraError("Training a model", error.name or "tensorflow", "train") from error
    return keras
