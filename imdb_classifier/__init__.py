"""Sentiment labels and probabilities for review text.

``from imdb_classifier import score_dataframe`` is all that a notebook needs; `Scorer` scores Arrow
arrays, `score_parquet` whole Parquet data sets. Importing the package loads neither TensorFlow,
Keras, Prefect nor pandas: each public name is imported when it is first used.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

from imdb_classifier.version import __version__

# Dependencies read these when they are imported, and child processes inherit them. Without them
# ONNX Runtime and Prefect report to their publishers. What is set already is kept.
for _variable, _value in {
    "ORT_DISABLE_TELEMETRY": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
}.items():
    os.environ.setdefault(_variable, _value)

if TYPE_CHECKING:
    from imdb_classifier.batch.outputs.scored_file import ScoreOptions
    from imdb_classifier.batch.run import score_parquet
    from imdb_classifier.config import RECIPES, Recipe
    from imdb_classifier.errors import ImdbClassifierError
    from imdb_classifier.model.bundle import Bundle, load_bundle
    from imdb_classifier.registry.versions import Registry
    from imdb_classifier.reviews.dataset import Reviews
    from imdb_classifier.reviews.load import load_reviews
    from imdb_classifier.scoring.frames import score_dataframe
    from imdb_classifier.scoring.scorer import Scorer

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
    "Bundle": "model.bundle",
    "ImdbClassifierError": "errors",
    "Recipe": "config",
    "Registry": "registry.versions",
    "Reviews": "reviews.dataset",
    "ScoreOptions": "batch.outputs.scored_file",
    "Scorer": "scoring.scorer",
    "load_bundle": "model.bundle",
    "load_reviews": "reviews.load",
    "score_dataframe": "scoring.frames",
    "score_parquet": "batch.run",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
