"""Prefect tasks for training, evaluating and scoring, for these flows and your own.

Tasks take paths and plain values and return small dicts; models and reviews stay inside them. No
review text reaches Prefect's database, logs or artifacts, not even through an error. If an artifact
cannot be published, a warning is logged and the run continues.
"""

from imdb_classifier.errors import ConfigurationError, MissingExtraError
from imdb_classifier.pipeline.outcomes import (
    AdaptationOutcome,
    EvaluatedModel,
    PlannedModel,
    PromotionOutcome,
    PruneOutcome,
    ResolvedModel,
    RollbackOutcome,
)
from imdb_classifier.storage.paths import NO_HOME as _NO_HOME
from imdb_classifier.storage.paths import home_expanded as _home_expanded

if _home_expanded("~") == _NO_HOME:
    raise ConfigurationError(
        "Prefect needs a home directory.",
        "None is known: HOME is not set, and the user has no name.",
        "Set HOME to a folder that can be written.",
    )
try:
    import prefect as _prefect  # noqa: F401
except ModuleNotFoundError as error:
    raise MissingExtraError("A Prefect task", error.name or "prefect", "flows") from error

from imdb_classifier.tasks.calls import call_flow
from imdb_classifier.tasks.events import name_run
from imdb_classifier.tasks.model_tasks import (
    adapt_model,
    evaluate_model,
    load_reviews,
    prune_models,
    register_model,
    resolve_model,
    train_model,
    training_run,
)
from imdb_classifier.tasks.promotion_tasks import check_promotion, promote_model, roll_back
from imdb_classifier.tasks.runners import RunnerName, task_runner
from imdb_classifier.tasks.score_tasks import score_batch

__all__ = [
    "AdaptationOutcome",
    "EvaluatedModel",
    "PlannedModel",
    "PromotionOutcome",
    "PruneOutcome",
    "ResolvedModel",
    "RollbackOutcome",
    "RunnerName",
    "adapt_model",
    "call_flow",
    "check_promotion",
    "evaluate_model",
    "load_reviews",
    "name_run",
    "promote_model",
    "prune_models",
    "register_model",
    "resolve_model",
    "roll_back",
    "score_batch",
    "task_runner",
    "train_model",
    "training_run",
]
