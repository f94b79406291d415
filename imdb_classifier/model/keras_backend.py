"""Keras with TensorFlow as its backend, imported only to train or check models."""

from __future__ import annotations

import os
from typing import Any

from imdb_classifier.errors import MissingExtraError


def import_keras(feature: str = "Training a model") -> Any:
    """Return the package keras, with TensorFlow as its backend.

    Args:
        feature: What needs it, for the error.

    Raises:
        MissingExtraError: Keras or TensorFlow is not installed.
    """
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    # TensorFlow logs pages about the CPU; errors are also raised as exceptions.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        import keras
        import tensorflow  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingExtraError(feature, error.name or "tensorflow", "train") from error
    return keras
