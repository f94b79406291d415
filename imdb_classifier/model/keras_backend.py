"""Keras with TensorFlow as its backend, imported only to train or check models."""

from __future__ import annotations

import os
from typing import Any

from imdb_classifier.errors import ConfigurationError, MissingExtraError
from imdb_classifier.storage.paths import NO_HOME, home_expanded


def import_keras(feature: str = "Training a model") -> Any:
    """Return the package keras, with TensorFlow as its backend.

    Args:
        feature: What needs it, for the error.

    Raises:
        ConfigurationError: Keras is set to another backend, or computes in another type than
            float32.
        MissingExtraError: Keras or TensorFlow is not installed.
    """
    # Without it, Keras takes the backend from `keras.json`.
    backend = os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    if backend != "tensorflow":
        raise _other_backend(feature, f"KERAS_BACKEND is {backend}")
    if home_expanded("~") == NO_HOME:
        # Keras would write its settings to a folder named ~ in the working folder.
        os.environ.setdefault("KERAS_HOME", NO_HOME)
    # TensorFlow logs pages about the CPU; errors are also raised as exceptions.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        import keras
        import tensorflow  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingExtraError(feature, error.name or "tensorflow", "train") from error
    if keras.config.backend() != "tensorflow":
        raise _other_backend(
            feature, f"This process has imported Keras with {keras.config.backend()}"
        )
    types = keras.config.floatx(), keras.config.dtype_policy().name
    if types != ("float32", "float32"):
        raise ConfigurationError(
            f"{feature} needs a Keras that computes in float32.",
            f"Its floatx is {types[0]}, and its dtype policy {types[1]}.",
            'Set "floatx" to "float32" in ~/.keras/keras.json (or in the folder KERAS_HOME), and '
            "leave keras.config.set_dtype_policy alone.",
        )
    return keras


def _other_backend(feature: str, received: str) -> ConfigurationError:
    return ConfigurationError(
        f"{feature} needs Keras with TensorFlow as its backend.",
        f"{received}.",
        "Set KERAS_BACKEND=tensorflow, in a process that has not imported Keras yet.",
    )
