"""Sentiment labels and probabilities for review text.

``from imdb_classifier import score_dataframe`` is all that a notebook needs; `Scorer` scores Arrow
arrays, `score_parquet` whole Parquet data sets. Importing the package loads neither TensorFlow,
Keras, Prefect nor pandas: each public name is imported when it is first used.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# Dependencies read these when they are imported, and child processes inherit them. Without them
# ONNX Runtime and Prefect report to their publishers. What is set already is kept.
for _variable, _value in {
    "ORT_DISABLE_TELEMETRY": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
}.items():
    os.environ.setdefault(_variable, _value)

if TYPE_CHECKING:
    from imdb_classifier.bundle import Bundle, load_bundle
    from imdb_classifier.config import RECIPES, Recipe
    from imdb_classifier.errors import ImdbClassifierError
    from imdb_classifier.frames import score_dataframe
    from imdb_classifier.imdb import Reviews, load_reviews
    from imdb_classifier.parquet import ScoreOptions, score_parquet
    from imdb_classifier.registry import Registry
    from imdb_classifier.scoring import Scorer

__all__ = [
    "RECIPES",
    "Bundle",
    "ImdbClassifierError",
    "Recipe",
    "Registry",
    "Reviews",
    "ScoreOptions",
    "Scorer",
    "__version__",
    "load_bundle",
    "load_reviews",
    "score_dataframe",
    "score_parquet",
]

_MODULE_OF = {
    "RECIPES": "config",
    "Bundle": "bundle",
    "ImdbClassifierError": "errors",
    "Recipe": "config",
    "Registry": "registry",
    "Reviews": "imdb",
    "ScoreOptions": "parquet",
    "Scorer": "scoring",
    "load_bundle": "bundle",
    "load_reviews": "imdb",
    "score_dataframe": "frames",
    "score_parquet": "parquet",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
