"""Tasks for models: resolve, load reviews, train, adapt, evaluate, register, prune."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

from prefect import get_run_logger, task
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE

from imdb_classifier.model.bundle import Bundle, load_bundle
from imdb_classifier.pipeline.outcomes import (
    AdaptationOutcome,
    EvaluatedModel,
    PlannedModel,
    PruneOutcome,
    ResolvedModel,
)
from imdb_classifier.registry import training_runs
from imdb_classifier.registry.pruning import prune
from imdb_classifier.registry.versions import Registry
from imdb_classifier.storage import is_remote, storage_of
from imdb_classifier.tasks.artifacts import Stages, artifact_key, publish
from imdb_classifier.tasks.events import deployment_name
from imdb_classifier.tasks.failures import RETRIES, without_texts
from imdb_classifier.training.loop import TrainingObserver

EVALUATION_KEY: Final = "imdb-evaluation"
ADAPTATION_KEY: Final = "imdb-adaptation"


@task(name="resolve-model", cache_policy=NO_CACHE, persist_result=False, **RETRIES)
@without_texts
def resolve_model(
    model: str = "@champion", registry: str | None = None, allow_unapproved: bool = False
) -> ResolvedModel:
    """Resolve a model reference; later tasks of the run take the result, not the reference.

    Args:
        model: ``@champion`` or another alias, a version's id, or the path of a bundle.
        registry: The registry's folder; None as in `Registry.at`.
        allow_unapproved: Accept a version that has not passed the promotion checks.

    Returns:
        model_id, model_hash and path of the bundle.

    Raises:
        UnknownModelError: There is no such model.
        UnapprovedModelError: The version has not passed the promotion checks.
        BundleError: The model is damaged.
    """
    where = Registry.at(registry)
    bundle = where.load(model)
    if not allow_unapproved:
        where.check_approved(bundle)
    return _described(bundle)


@task(name="load-reviews", cache_policy=NO_CACHE, persist_result=False, **RETRIES)
@without_texts
def load_reviews(
    data: str | None,
    recipe: str,
    seed: int,
    extra_train: Sequence[str] = (),
    registry: str | None = None,
    gate_on: Mapping[str, str] | None = None,
    gates: Mapping[str, float] | None = None,
    label_map: Mapping[str, str] | None = None,
) -> PlannedModel:
    """Load and describe the training reviews, and find a model already trained on them.

    Args:
        data: Where the reviews are, see `imdb_classifier.load_reviews`.
        recipe: The name of a recipe, or a TOML file of your own.
        seed: From 0 to 2**32 - 1.
        extra_train: Labeled Parquet files to add.
        registry: The registry's folder; None as in `Registry.at`.
        gate_on: Labeled reviews of the user's own that the model will be evaluated on, by names for
            the sets; none of them may be made of training reviews.
        gates: Limits of `Gates` by name.
        label_map: What the labels of the user's own files mean, such as ``{"1": "negative", "5":
            "positive"}``; None if they are 0 and 1, true and false, or positive and negative.

    Returns:
        reviews (a description of them), run (for `training_run`), trained (the id of a model that
        was trained on the same reviews with the same recipe and seed, or None), and undecided
        (whether it still awaits the decision on its promotion).

    Raises:
        ImdbClassifierError: The reviews cannot be loaded.
    """
    from imdb_classifier.evaluation.promotion import Gates
    from imdb_classifier.pipeline.own_sets import load_own_sets
    from imdb_classifier.pipeline.train import plan_training, reviews_line

    where, own_sets = Registry.at(registry), load_own_sets(gate_on, label_map)
    plan = plan_training(
        data,
        recipe,
        seed,
        where,
        extra_train=extra_train,
        label_map=label_map,
        own_sets=own_sets,
        gates=Gates.of(gates or {}, own_sets),
    )
    get_run_logger().info("%s", reviews_line(plan.summary))
    undecided = plan.trained is not None and where.is_undecided(plan.trained)
    return {
        "reviews": dict(plan.summary),
        "run": plan.run,
        "trained": plan.trained,
        "undecided": undecided,
    }


def training_run(run: str, registry: str | None = None) -> AbstractContextManager[None]:
    """Keep other runs from training the same model until this one is registered.

    Enter it in the flow, around `train_model` and all that uses its bundle. Then the bundle and the
    checkpoints are deleted; after an exception, they are kept, and a rerun resumes.

    Args:
        run: The name of the run, as returned by `load_reviews`.
        registry: The registry's folder; None as in `Registry.at`.

    Raises:
        CannotWriteError: Another run is training the same model, or the registry cannot be written.
    """
    return training_runs.training_run(Registry.at(registry).work, run)


@task(name="train-model", cache_policy=NO_CACHE, persist_result=False)
@without_texts
def train_model(
    data: str | None,
    recipe: str,
    seed: int,
    extra_train: Sequence[str] = (),
    registry: str | None = None,
    label_map: Mapping[str, str] | None = None,
) -> ResolvedModel:
    """Train a model in the registry's ``work`` folder; an interrupted run resumes.

    Args:
        data: Where the reviews are, see `imdb_classifier.load_reviews`.
        recipe: The name of a recipe, or a TOML file of your own.
        seed: From 0 to 2**32 - 1.
        extra_train: Labeled Parquet files to add.
        registry: The registry's folder; None as in `Registry.at`.
        label_map: What the labels of the user's own files mean, such as ``{"1": "negative", "5":
            "positive"}``; None if they are 0 and 1, true and false, or positive and negative.

    Returns:
        model_id, model_hash and path of the bundle, which `training_run` deletes.

    Raises:
        ImdbClassifierError: The reviews cannot be loaded, or the model cannot be trained.
    """
    from imdb_classifier.pipeline.train import train_bundle

    work = Registry.at(registry).work
    bundle = train_bundle(
        data,
        recipe,
        seed,
        work,
        extra_train=extra_train,
        label_map=label_map,
        observer=TrainingObserver(Stages()),
    )
    return _described(bundle)


@task(name="adapt-model", cache_policy=NO_CACHE, persist_result=False)
@without_texts
def adapt_model(
    labeled: str,
    model: str = "@champion",
    label_map: Mapping[str, str] | None = None,
    data: str | None = None,
    registry: str | None = None,
    gate_on: Mapping[str, str] | None = None,
) -> AdaptationOutcome:
    """Adapt a model to labeled texts, register it as the challenger, and publish what was tried.

    If no change is shown to help, nothing is registered. See `imdb_classifier.adapt`.

    Args:
        labeled: Parquet files with the columns text and label: at least 50 rows.
        model: ``@champion`` or another alias, a version's id, or the path of a bundle.
        label_map: What the labels of the user's own files mean, such as ``{"1": "negative", "5":
            "positive"}``; None if they are 0 and 1, true and false, or positive and negative.
        data: Where the IMDB reviews to evaluate on are, see `imdb_classifier.load_reviews`.
        registry: The registry's folder; None as in `Registry.at`.
        gate_on: Other labeled reviews of the user's own to evaluate on, by names for the sets.

    Returns:
        model_id (of the challenger, or of the base), base, change, and accuracy and log_loss in
        cross-validation.

    Raises:
        ImdbClassifierError: The labels, the model or the reviews cannot be loaded, there are too
            few labels, or the registry cannot be written.
    """
    from imdb_classifier.pipeline.adaptations import adapt

    adapted = adapt(
        labeled,
        model,
        label_map=label_map,
        data=data,
        gate_on=gate_on,
        registry=registry,
        progress=Stages(),
    )
    chosen, base = adapted.chosen, adapted.base.model_id
    publish(
        "The adaptation",
        create_table_artifact,
        key=artifact_key(ADAPTATION_KEY, deployment_name()),
        table=[
            {
                "change": attempt.change,
                "strength": attempt.strength,
                "accuracy": f"{attempt.accuracy:.1%}",
                "log loss": f"{attempt.log_loss:.3f}",
                "chosen": "yes" if attempt == chosen else "",
            }
            for attempt in adapted.attempts
        ],
        description=f"Changes of {base}, by cross-validation on the labels.",
    )
    return {
        "model_id": adapted.bundle.model_id,
        "base": base,
        "change": chosen.change,
        "accuracy": chosen.accuracy,
        "log_loss": chosen.log_loss,
    }


@task(name="evaluate-model", cache_policy=NO_CACHE, persist_result=False)
@without_texts
def evaluate_model(
    path: str,
    data: str | None,
    registry: str | None = None,
    output: str | None = None,
    gate_on: Mapping[str, str] | None = None,
    label_map: Mapping[str, str] | None = None,
) -> EvaluatedModel:
    """Evaluate a model on the test split, and write and publish the report.

    Args:
        path: The bundle's path, as returned by `resolve_model` or `train_model`.
        data: Where the reviews are, see `imdb_classifier.load_reviews`.
        registry: The registry's folder; None as in `Registry.at`.
        output: Folder for the report; None for a folder in the registry's ``reports``, one for
            each model and test split.
        gate_on: Labeled reviews of the user's own to evaluate on besides, by names for the sets:
            Parquet files with the columns text and label, or folders of them.
        label_map: What the labels of the user's own files mean, such as ``{"1": "negative", "5":
            "positive"}``; None if they are 0 and 1, true and false, or positive and negative.

    Returns:
        model_id, accuracy (in [0, 1]), rows, and report (the folder).

    Raises:
        ImdbClassifierError: The test reviews or own sets cannot be loaded, or the report cannot be
            written.
    """
    from imdb_classifier.evaluation.report import render_markdown
    from imdb_classifier.pipeline.evaluate import evaluate_with_report
    from imdb_classifier.pipeline.own_sets import load_own_sets

    own_sets = load_own_sets(gate_on, label_map)
    bundle = load_bundle(path)
    where = Registry.at(registry)
    evaluation, report = evaluate_with_report(
        bundle, data, where, output, own_sets=own_sets, progress=Stages()
    )
    page = report["report.html"]
    folder = page.rpartition("/")[0]
    link = page if is_remote(page) else Path(page).absolute().as_uri()
    accuracy = evaluation.figures["accuracy"].value
    publish(
        "The evaluation",
        create_markdown_artifact,
        key=artifact_key(EVALUATION_KEY, deployment_name()),
        markdown=render_markdown(evaluation),
        description=f"{bundle.model_id} labels {accuracy:.1%} of {evaluation.rows:,} test rows "
        f"correctly. [Report with plots]({link}): {folder}",
    )
    return {
        "model_id": bundle.model_id,
        "accuracy": accuracy,
        "rows": evaluation.rows,
        "report": folder,
    }


@task(name="register-model", cache_policy=NO_CACHE, persist_result=False)
@without_texts
def register_model(path: str, report: str, registry: str | None = None) -> ResolvedModel:
    """Store an evaluated model as a version of the registry and make it the challenger.

    Args:
        path: The bundle's path, as returned by `train_model`.
        report: The folder of its report, as returned by `evaluate_model`.
        registry: The registry's folder; None as in `Registry.at`.

    Returns:
        model_id, model_hash and path of the version.

    Raises:
        BundleError: The model or its report is damaged.
        CannotWriteError: The registry cannot be written.
    """
    from imdb_classifier.evaluation.result import Evaluation
    from imdb_classifier.pipeline.promote import register_bundle

    evaluation = Evaluation.from_dict(
        json.loads(storage_of(report).read_text(f"{report}/evaluation.json"))
    )
    bundle = register_bundle(load_bundle(path), evaluation, Registry.at(registry))
    return _described(bundle)


@task(name="prune-models", cache_policy=NO_CACHE, persist_result=False)
@without_texts
def prune_models(keep: int, registry: str | None = None) -> PruneOutcome:
    """Delete old versions with their decisions and reports, and what killed runs left.

    Versions that an alias points to and versions that await a promotion decision are never deleted,
    nor are trainings that are in progress. Incomplete versions are deleted after a day.

    Args:
        keep: How many of the newest versions, and of the newest interrupted trainings on this
            machine, to keep, at least 0.
        registry: The registry's folder; None as in `Registry.at`.

    Returns:
        pruned (ids of the deleted versions) and trainings (names of the deleted runs), the oldest
        first; and leftovers (names of deleted parts of versions).

    Raises:
        ConfigurationError: ``keep`` is negative.
        UnavailableError: The registry cannot be reached.
        CannotWriteError: The registry cannot be written.
    """
    pruned = prune(Registry.at(registry), keep)
    for what, names in vars(pruned).items():
        get_run_logger().info("Deleted %s: %s", what, ", ".join(names) or "none")
    return {
        "pruned": pruned.versions,
        "trainings": pruned.trainings,
        "leftovers": pruned.leftovers,
    }


def _described(bundle: Bundle) -> ResolvedModel:
    return {
        "model_id": bundle.model_id,
        "model_hash": bundle.model_hash,
        "path": bundle.location,
    }
