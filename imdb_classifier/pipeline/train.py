"""Training of a model, from the location of the reviews to a bundle."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from imdb_classifier.config import TRAINING_REVISION, Recipe
from imdb_classifier.errors import (
    BundleError,
    ConfigurationError,
    NoInputError,
    counted,
)
from imdb_classifier.evaluation.promotion import Gates
from imdb_classifier.model.bundle import Bundle, load_bundle
from imdb_classifier.model.bundle_writer import write_bundle
from imdb_classifier.pipeline.evaluate import evaluate_with_report
from imdb_classifier.pipeline.own_sets import OwnSets, check_unlike, load_own_sets
from imdb_classifier.pipeline.promote import register_bundle
from imdb_classifier.progress import Progress
from imdb_classifier.recipe_file import chosen_recipe
from imdb_classifier.registry.training_runs import training_run
from imdb_classifier.registry.versions import Registry
from imdb_classifier.reviews.dataset import Reviews
from imdb_classifier.reviews.load import add_reviews, load_own_set, load_reviews
from imdb_classifier.reviews.overlap import fingerprints_of, known_rows
from imdb_classifier.reviews.parquet import LabelMap
from imdb_classifier.storage.paths import StrPath
from imdb_classifier.training.data import no_unlabeled, recipe_for
from imdb_classifier.training.loop import TrainingObserver, check_seed, run_key, train

if TYPE_CHECKING:
    import keras

_UNLABELED: Final = "unlabelled"
"""The key in manifests, spelled as in the bundled model."""
_BUNDLE: Final = "bundle"
_CHECKPOINTS: Final = "checkpoints"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingPlan:
    """What a training run learns from, and whether that was learned before.

    Attributes:
        summary: The reviews: source, rows, rows left out, fingerprint, the number of test rows that
            are also among them (None without a test split), and for a recipe with teachers the
            same for the unlabeled reviews.
        run: The name of the run, see `loop.run_key`.
        trained: The id of a version, or of the bundled model, that was trained on the same reviews
            with the same recipe and seed; None if there is none.
    """

    summary: Mapping[str, Any]
    run: str
    trained: str | None


def check_recipe(recipe: StrPath, seed: int) -> Recipe:
    """Return a recipe by its name or file, after checking the seed, too.

    Raises:
        ConfigurationError: The recipe is unknown or its file wrong, or the seed out of range.
        NoInputError: The file does not exist.
    """
    check_seed(seed)
    return chosen_recipe(recipe)


def plan_training(
    data: StrPath | None,
    recipe: StrPath,
    seed: int,
    registry: Registry,
    *,
    extra_train: Sequence[StrPath] = (),
    label_map: LabelMap | None = None,
    download: bool = False,
    own_sets: OwnSets | None = None,
    gates: Gates | None = None,
) -> TrainingPlan:
    """Check the parameters, describe the reviews, and find a model already trained on them.

    Args:
        data: Where the reviews are, see `load.load_reviews`.
        recipe: The name of a recipe, or a TOML file, see `recipe_file.chosen_recipe`.
        seed: From 0 to 2**32 - 1.
        registry: The registry to search.
        extra_train: Labeled Parquet files to add.
        label_map: What their labels mean, see `load.load_own_set`.
        download: Whether the reviews may be downloaded.
        own_sets: Labeled reviews of the user's own that the model will be evaluated on.
        gates: Limits that the model must meet; None for the defaults.

    Raises:
        ConfigurationError: The recipe is unknown, the seed out of range, one file is both the train
            and the test split, or an own set is made of reviews of one of them.
        CannotWriteError: The registry cannot be written.
        NoInputError: There is no test split to evaluate the model on.
        ImdbClassifierError: See `load.load_reviews` and `Registry.manifests`.
    """
    chosen = check_recipe(recipe, seed)
    registry.check_writable()
    reviews, unlabeled, summary = _training_reviews(data, chosen, extra_train, label_map, download)
    test = load_reviews(data, "test", download=download)
    if own_sets:
        check_unlike(own_sets, test)
        for split in filter(None, (reviews, unlabeled)):
            check_unlike(own_sets, split, gates)
    run = _run_of(recipe_for(reviews, chosen), seed, summary)
    return TrainingPlan(summary, run, _trained_in(run, registry))


def _trained_in(run: str, registry: Registry) -> str | None:
    """Return the id of an intact model that was trained in this run, or None."""
    for manifest in registry.manifests():
        try:
            known = _run_of(
                Recipe.from_dict(manifest["recipe"]),
                manifest["seed"],
                manifest["data"],
                manifest.get("training_revision", 1),
            )
        except (ConfigurationError, KeyError, TypeError):
            continue  # a recipe of another release, or a damaged manifest
        if known == run:
            model_id = str(manifest["model_id"])
            try:
                registry.load(model_id)
            except BundleError as error:
                logger.warning(
                    "%s was trained already, but has to be trained again: %s", model_id, error
                )
            else:
                return model_id
    return None


def _run_of(
    recipe: Recipe, seed: int, summary: Mapping[str, Any], revision: int = TRAINING_REVISION
) -> str:
    """Return the name of the run that trains on the reviews of a summary."""
    unlabeled = summary.get(_UNLABELED)
    return run_key(
        recipe,
        seed,
        summary["fingerprint"],
        None if unlabeled is None else unlabeled["fingerprint"],
        revision,
    )


def _training_reviews(
    data: StrPath | None,
    recipe: Recipe,
    extra_train: Sequence[StrPath],
    label_map: LabelMap | None,
    download: bool,
) -> tuple[Reviews, Reviews | None, dict[str, Any]]:
    """Load the labeled and the unlabeled reviews, and summarize them."""
    # Loaded first: it takes a moment to load the others, and users' own files are oftener wrong.
    extra = [load_own_set(path, label_map, "train") for path in extra_train]
    reviews = load_reviews(data, "train", download=download)
    try:
        test = load_reviews(data, "test")
    except NoInputError:
        test = None
    if test is not None and test.fingerprint == reviews.fingerprint:
        raise ConfigurationError(
            "The train and the test split must be different reviews.",
            f"Both are the same {counted(len(reviews), 'review')}.",
            "Choose a folder with train-*.parquet and test-*.parquet as `data`, or add a file of "
            "your own with `extra_train`.",
        )
    if extra:
        reviews = add_reviews(reviews, extra)
    summary = {"source": reviews.source, **_summarize(reviews, test)}
    if recipe.teachers is None:
        return reviews, None, summary
    if reviews.words is not None:
        raise no_unlabeled(recipe, reviews.source)
    unlabeled = load_reviews(data, "unsupervised")
    summary[_UNLABELED] = _summarize(unlabeled, test)
    return reviews, unlabeled, summary


def _summarize(reviews: Reviews, test: Reviews | None) -> dict[str, Any]:
    return {
        "rows": len(reviews),
        "left_out": dict(reviews.left_out),
        "fingerprint": reviews.fingerprint,
        "overlap_with_test": None if test is None else _overlap(reviews, test),
    }


def _overlap(train: Reviews, test: Reviews) -> int:
    """Return the number of test reviews that are also in the training reviews."""
    return int(known_rows(test.table, fingerprints_of([train.table])).sum())


def reviews_line(summary: Mapping[str, Any]) -> str:
    """Return the summary of a `TrainingPlan` as one line."""
    left_out = [f"{count:,} {why}" for why, count in summary["left_out"].items() if count]
    overlap = summary["overlap_with_test"]
    return (
        f"{counted(summary['rows'], 'training review')} ({summary['source']}); "
        f"left out: {', '.join(left_out) or 'none'}; "
        f"also in the test split: {'unknown' if overlap is None else f'{overlap:,}'}"
    )


@dataclass(frozen=True)
class Training:
    """What a training came to.

    Attributes:
        bundle: The registered model.
        evaluation: Its evaluation, as in ``evaluation.json``.
        report: The paths of the report by file name; empty if training was skipped.
        skipped: Whether the model was already trained.
    """

    bundle: Bundle
    evaluation: Mapping[str, Any]
    report: Mapping[str, str]
    skipped: bool


def train_model(
    data: StrPath | None = None,
    recipe: StrPath = "production",
    seed: int = 1,
    *,
    extra_train: Sequence[StrPath] = (),
    label_map: LabelMap | None = None,
    gate_on: Mapping[str, StrPath] | None = None,
    force: bool = False,
    registry: StrPath | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    progress: Progress | None = None,
) -> Training:
    """Train a model, evaluate it on the test split, and register it as ``@challenger``.

    Does what ``imdb-classifier train`` does, and needs the extra ``train``. An interrupted training
    resumes from its last checkpoint.

    Args:
        data: Where the reviews are, see `load_reviews`; downloaded only if this names a source.
        recipe: ``production``, ``seed`` or ``tiny``, or the path of a TOML file.
        seed: From 0 to 2**32 - 1; with data and recipe, it determines the weights.
        extra_train: Labeled Parquet files to add.
        gate_on: Labeled reviews of your own to evaluate the model on, by names for the sets.
        label_map: What the labels of your own files mean, such as ``{"1": "negative", "5":
            "positive"}``; None if they are 0 and 1, true and false, or positive and negative.
        force: Whether to train even if the same data, recipe and seed were already trained.
        registry: The registry's folder; None as in `Registry.at`.
        callbacks: Callbacks of Keras that follow training, such as TensorBoard. They see the
            metrics of the validation part, and may not change weights or learning rate.
        progress: Called with what is counted, how much is done, and how much there is.

    Returns:
        The registered model, its evaluation and the report.

    Raises:
        ConfigurationError: The recipe is unknown, the seed out of range, or a callback changes what
            decides the weights.
        MissingExtraError: Keras or TensorFlow is not installed.
        ImdbClassifierError: The reviews cannot be loaded, or the registry cannot be written.

    Example:
        >>> from imdb_classifier import samples, train_model
        >>> training = train_model(samples.FOLDER, "tiny")
        >>> training.bundle.recipe.name, training.evaluation["rows"]
        ('tiny', 86)
    """
    where, download = Registry.at(registry), data is not None
    own_sets = load_own_sets(gate_on, label_map)
    plan = plan_training(
        data,
        recipe,
        seed,
        where,
        extra_train=extra_train,
        label_map=label_map,
        download=download,
        own_sets=own_sets,
    )
    if plan.trained and not force:
        known = where.load(plan.trained)
        return Training(known, known.evaluation or {}, {}, skipped=True)
    with training_run(where.work, plan.run):
        trained = train_bundle(
            data,
            recipe,
            seed,
            where.work,
            extra_train=extra_train,
            label_map=label_map,
            download=download,
            observer=TrainingObserver(progress),
            callbacks=callbacks,
        )
        evaluation, report = evaluate_with_report(
            trained, data, where, own_sets=own_sets, progress=progress
        )
        bundle = register_bundle(trained, evaluation, where)
    return Training(bundle, evaluation.to_dict(), report, skipped=False)


def train_bundle(
    data: StrPath | None,
    recipe: StrPath,
    seed: int,
    work: StrPath,
    *,
    extra_train: Sequence[StrPath] = (),
    label_map: LabelMap | None = None,
    download: bool = False,
    observer: TrainingObserver | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> Bundle:
    """Train a model and write its bundle.

    Checkpoints and bundle are in a folder named by reviews, recipe and seed, which
    `training_runs.training_run` locks. An interrupted run resumes from its last checkpoint; a model
    whose bundle already exists is not trained again.

    Args:
        data: Where the reviews are, see `load.load_reviews`.
        recipe: The name of a recipe, or a TOML file, see `recipe_file.chosen_recipe`.
        seed: From 0 to 2**32 - 1.
        work: The folder of all runs, see `Registry.work`; created if missing.
        extra_train: Labeled Parquet files to add.
        label_map: What their labels mean, see `load.load_own_set`.
        download: Whether the reviews may be downloaded.
        observer: Receives the progress of training.
        callbacks: See `loop.train`.

    Raises:
        ImdbClassifierError: See `load.load_reviews`, `loop.train`, `bundle_writer.write_bundle`.
    """
    chosen = chosen_recipe(recipe)
    reviews, unlabeled, summary = _training_reviews(data, chosen, extra_train, label_map, download)
    chosen = recipe_for(reviews, chosen)
    logger.info("%s", reviews_line(summary))
    folder = Path(work) / _run_of(chosen, seed, summary)
    target, checkpoints = folder / _BUNDLE, folder / _CHECKPOINTS
    if target.exists():
        try:
            return load_bundle(target)
        except BundleError as error:
            logger.warning("the trained model has to be trained again: %s", error)
            shutil.rmtree(target)
    trained = train(reviews, chosen, seed, checkpoints, observer, unlabeled, callbacks)
    learned = [part.table for part in (reviews, unlabeled) if part is not None]
    bundle = write_bundle(trained, summary, fingerprints_of(learned), target)
    shutil.rmtree(checkpoints)
    return bundle
