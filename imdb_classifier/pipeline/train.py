"""Training of a model, from the location of the reviews to a bundle."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from imdb_classifier.config import Recipe
from imdb_classifier.config import recipe as named_recipe
from imdb_classifier.errors import NoInputError, counted
from imdb_classifier.model.bundle import Bundle, load_bundle
from imdb_classifier.model.bundle_writer import write_bundle
from imdb_classifier.registry.versions import Registry
from imdb_classifier.reviews.dataset import Reviews, count_overlap
from imdb_classifier.reviews.load import add_reviews, load_reviews
from imdb_classifier.storage.paths import StrPath
from imdb_classifier.training.loop import TrainingObserver, run_key, train

_UNLABELED: Final = "unlabelled"
"""The key in manifests, spelled as in the bundled model."""

logger = logging.getLogger(__name__)


def describe_training(
    data: StrPath | None,
    recipe: str,
    seed: int,
    registry: Registry,
    *,
    extra_train: Sequence[StrPath] = (),
    download: bool = False,
) -> tuple[dict[str, Any], str | None]:
    """Describe the training reviews, and find a version that was already trained on them.

    Args:
        data: Where the reviews are, see `load.load_reviews`.
        recipe: The name of a recipe.
        seed: From 0 to 2**32 - 1.
        registry: The registry to search.
        extra_train: Labeled Parquet files to add.
        download: Whether the reviews may be downloaded.

    Returns:
        A summary of the reviews: source, rows, rows left out, fingerprint, the number of test rows
        that are also among them (None without a test split), and for a recipe with teachers the
        same for the unlabeled reviews. Then the id of a version that was trained on the same
        reviews with the same recipe and seed, or None.

    Raises:
        ImdbClassifierError: See `load.load_reviews` and `Registry.manifests`.
    """
    chosen = named_recipe(recipe)
    _, _, summary = _training_reviews(data, chosen, extra_train, download)
    wanted = json.loads(json.dumps([chosen.to_dict(), seed, summary]))
    for manifest in registry.manifests():
        if [manifest["recipe"], manifest["seed"], manifest["data"]] == wanted:
            return summary, str(manifest["model_id"])
    return summary, None


def _training_reviews(
    data: StrPath | None, recipe: Recipe, extra_train: Sequence[StrPath], download: bool
) -> tuple[Reviews, Reviews | None, dict[str, Any]]:
    """Load the labeled and the unlabeled reviews, and summarize them."""
    reviews = load_reviews(data, "train", download=download)
    if extra_train:
        reviews = add_reviews(reviews, extra_train)
    try:
        test = load_reviews(data, "test")
    except NoInputError:
        test = None
    summary = {"source": reviews.source, **_summarize(reviews, test)}
    if recipe.teachers is None or reviews.source == "keras":
        return reviews, None, summary
    unlabeled = load_reviews(data, "unsupervised")
    summary[_UNLABELED] = _summarize(unlabeled, test)
    return reviews, unlabeled, summary


def _summarize(reviews: Reviews, test: Reviews | None) -> dict[str, Any]:
    return {
        "rows": len(reviews),
        "left_out": dict(reviews.left_out),
        "fingerprint": reviews.fingerprint,
        "overlap_with_test": None if test is None else count_overlap(reviews, test),
    }


def reviews_line(summary: Mapping[str, Any]) -> str:
    """Return the summary of `describe_training` as one line."""
    left_out = [f"{count:,} {why}" for why, count in summary["left_out"].items() if count]
    overlap = summary["overlap_with_test"]
    return (
        f"{counted(summary['rows'], 'training review')} ({summary['source']}); "
        f"left out: {', '.join(left_out) or 'none'}; "
        f"also in the test split: {'unknown' if overlap is None else f'{overlap:,}'}"
    )


def train_bundle(
    data: StrPath | None,
    recipe: str,
    seed: int,
    work: StrPath,
    *,
    extra_train: Sequence[StrPath] = (),
    download: bool = False,
    observer: TrainingObserver | None = None,
) -> Bundle:
    """Train a model and write its bundle.

    Checkpoints and bundle are named by reviews, recipe and seed. An interrupted run resumes from
    its last checkpoint; a model whose bundle already exists is not trained again.

    Args:
        data: Where the reviews are, see `load.load_reviews`.
        recipe: The name of a recipe.
        seed: From 0 to 2**32 - 1.
        work: A folder for checkpoints and bundles, created if missing; the caller removes the
            bundle once it is registered.
        extra_train: Labeled Parquet files to add.
        download: Whether the reviews may be downloaded.
        observer: Receives the progress of training.

    Raises:
        ImdbClassifierError: See `load.load_reviews`, `loop.train`, `bundle_writer.write_bundle`.
    """
    chosen = named_recipe(recipe)
    reviews, unlabeled, summary = _training_reviews(data, chosen, extra_train, download)
    logger.info("%s", reviews_line(summary))
    target = Path(work) / run_key(reviews, chosen, seed, unlabeled)
    if target.exists():
        return load_bundle(target)
    checkpoints = target.with_suffix(".checkpoints")
    trained = train(reviews, chosen, seed, checkpoints, observer, unlabeled)
    bundle = write_bundle(trained, summary, target)
    shutil.rmtree(checkpoints)
    return bundle
