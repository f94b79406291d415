"""Sentiment labels and probabilities for review text.

`score_dataframe` scores data frames and lists of text, `Scorer` Arrow arrays, and `score_parquet`
Parquet files and folders. Importing the package does not load TensorFlow, Keras, Prefect or pandas:
public names are imported on first use.
"""

import logging
import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

from imdb_classifier.errors import (
    AmbiguousColumnError,
    BadDataError,
    BundleError,
    CannotWriteError,
    ChecksumError,
    ColumnExistsError,
    ConfigurationError,
    ExportError,
    ImdbClassifierError,
    MissingColumnError,
    MissingExtraError,
    MissingReviewColumnError,
    NoInputError,
    OutputExistsError,
    OutputInUseError,
    PartlyScoredError,
    TextTypeError,
    UnapprovedModelError,
    UnavailableError,
    UnexpectedError,
    UnknownModelError,
    UnreadableFileError,
    UnsupportedDataError,
    UnsupportedPackageError,
)
from imdb_classifier.version import __version__

# These turn off the telemetry of ONNX Runtime and Prefect, which read them on import; child
# processes inherit them. Variables that are already set are kept.
for _variable, _value in {
    "ORT_DISABLE_TELEMETRY": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
}.items():
    os.environ.setdefault(_variable, _value)

# Whoever wants the library's log lines adds a handler; without one, Python would print warnings.
logging.getLogger(__name__).addHandler(logging.NullHandler())

if TYPE_CHECKING:
    from imdb_classifier.batch.checks.file_check import Problem
    from imdb_classifier.batch.dry_run import DryRun, FileForecast, dry_run_parquet
    from imdb_classifier.batch.options import Limits, ScoreOptions, Selection
    from imdb_classifier.batch.results import FileResult, RunResult
    from imdb_classifier.batch.run import score_parquet
    from imdb_classifier.batch.verification import Verification, verify_output
    from imdb_classifier.config import RECIPES, Recipe
    from imdb_classifier.evaluation.promotion import Gates, OwnGates
    from imdb_classifier.model.bundle import Bundle, load_bundle
    from imdb_classifier.monitoring.drift import Drift
    from imdb_classifier.monitoring.drift_limits import DriftLimits
    from imdb_classifier.monitoring.expected_accuracy import ExpectedAccuracy
    from imdb_classifier.pipeline.adaptations import AdaptedModel, adapt
    from imdb_classifier.pipeline.train import Training, train_model
    from imdb_classifier.registry.access import ChampionChangedError
    from imdb_classifier.registry.versions import Registry
    from imdb_classifier.reviews.dataset import Reviews
    from imdb_classifier.reviews.download import DownloadError
    from imdb_classifier.reviews.load import load_reviews
    from imdb_classifier.reviews.sources import NoReviewsError
    from imdb_classifier.sampling.drawing import Sample, SampledStratum, draw_sample
    from imdb_classifier.sampling.sample_accuracy import (
        LabeledStratum,
        SampleAccuracy,
        evaluate_sample,
    )
    from imdb_classifier.sampling.sample_options import SampleOptions
    from imdb_classifier.scoring.explanations import (
        Explanation,
        NgramContribution,
        WordContribution,
        explain,
    )
    from imdb_classifier.scoring.frames import score_dataframe
    from imdb_classifier.scoring.kept_bundles import release_model
    from imdb_classifier.scoring.scorer import Scorer
    from imdb_classifier.storage.paths import UnknownSchemeError, UnsetVariableError

__all__ = [
    "RECIPES",
    "AdaptedModel",
    "AmbiguousColumnError",
    "BadDataError",
    "Bundle",
    "BundleError",
    "CannotWriteError",
    "ChampionChangedError",
    "ChecksumError",
    "ColumnExistsError",
    "ConfigurationError",
    "DownloadError",
    "Drift",
    "DriftLimits",
    "DryRun",
    "ExpectedAccuracy",
    "Explanation",
    "ExportError",
    "FileForecast",
    "FileResult",
    "Gates",
    "ImdbClassifierError",
    "LabeledStratum",
    "Limits",
    "MissingColumnError",
    "MissingExtraError",
    "MissingReviewColumnError",
    "NgramContribution",
    "NoInputError",
    "NoReviewsError",
    "OutputExistsError",
    "OutputInUseError",
    "OwnGates",
    "PartlyScoredError",
    "Problem",
    "Recipe",
    "Registry",
    "Reviews",
    "RunResult",
    "Sample",
    "SampleAccuracy",
    "SampleOptions",
    "SampledStratum",
    "ScoreOptions",
    "Scorer",
    "Selection",
    "TextTypeError",
    "Training",
    "UnapprovedModelError",
    "UnavailableError",
    "UnexpectedError",
    "UnknownModelError",
    "UnknownSchemeError",
    "UnreadableFileError",
    "UnsetVariableError",
    "UnsupportedDataError",
    "UnsupportedPackageError",
    "Verification",
    "WordContribution",
    "__version__",
    "adapt",
    "draw_sample",
    "dry_run_parquet",
    "evaluate_sample",
    "explain",
    "load_bundle",
    "load_reviews",
    "release_model",
    "score_dataframe",
    "score_parquet",
    "train_model",
    "verify_output",
]

# Public names by module. A test checks that they match the imports above.
_MODULE_OF = {
    name: module
    for module, names in {
        "batch.dry_run": ["DryRun", "FileForecast", "dry_run_parquet"],
        "batch.options": ["Limits", "ScoreOptions", "Selection"],
        "batch.results": ["FileResult", "RunResult"],
        "batch.run": ["score_parquet"],
        "batch.checks.file_check": ["Problem"],
        "batch.verification": ["Verification", "verify_output"],
        "config": ["RECIPES", "Recipe"],
        "evaluation.promotion": ["Gates", "OwnGates"],
        "model.bundle": ["Bundle", "load_bundle"],
        "monitoring.drift": ["Drift"],
        "monitoring.drift_limits": ["DriftLimits"],
        "monitoring.expected_accuracy": ["ExpectedAccuracy"],
        "pipeline.adaptations": ["AdaptedModel", "adapt"],
        "pipeline.train": ["Training", "train_model"],
        "registry.access": ["ChampionChangedError"],
        "registry.versions": ["Registry"],
        "reviews.dataset": ["Reviews"],
        "reviews.download": ["DownloadError"],
        "reviews.load": ["load_reviews"],
        "reviews.sources": ["NoReviewsError"],
        "sampling.drawing": ["Sample", "SampledStratum", "draw_sample"],
        "sampling.sample_accuracy": ["LabeledStratum", "SampleAccuracy", "evaluate_sample"],
        "sampling.sample_options": ["SampleOptions"],
        "scoring.explanations": ["Explanation", "NgramContribution", "WordContribution", "explain"],
        "scoring.frames": ["score_dataframe"],
        "scoring.kept_bundles": ["release_model"],
        "scoring.scorer": ["Scorer"],
        "storage.paths": ["UnknownSchemeError", "UnsetVariableError"],
    }.items()
    for name in names
}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
