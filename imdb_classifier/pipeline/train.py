"""Training as the command line and the flows have it: reviews in, a bundle out.

Models and reviews stay inside these functions; what goes in and out are paths, references and
figures.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from imdb_classifier.config import Recipe
from imdb_classifier.config import recipe as named_recipe
from imdb_classifier.errors import NoInputError
from imdb_classifier.model.bundle import Bundle, load_bundle
from imdb_classifier.model.bundle_writer import write_bundle
from imdb_classifier.registry.versions import Registry
from imdb_classifier.reviews.dataset import Reviews, count_overlap
from imdb_classifier.reviews.load import add_reviews, load_reviews
from imdb_classifier.storage.paths import StrPath
from imdb_classifier.training.loop import TrainingObserver, run_key, train

_UNLABELED: Final = "unlabelled"
"""The key in manifests, spelled as in the bundled model, whose files never change."""

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
    """What there is to train on, and the version that was already trained on it.

    Args:
        data: Where the reviews are, see `load.load_reviews`.
        recipe: The name of a recipe.
        seed: From 0 to 2**32 - 1.
        registry: Where versions are.
        extra_train: Labeled Parquet files to add.
        download: Whether the reviews may be downloaded.

    Returns:
        The reviews' source, rows, rows left out, fingerprint, how many rows of the test split stand
        among them too (None where there is no test split), and for a recipe with teachers the same
        of the unlabeled ones; and the id of a version of the same reviews, recipe and seed, with
        which there is nothing to learn, or None.

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
    """The reviews with and without labels, and what is known of them."""
    reviews = load_reviews(data, "train", download=download)
    if extra_train:
        reviews = add_reviews(reviews, extra_train)
    try:
        test = load_reviews(data, "test")
    except NoInputError:
        test = None
    summary = {"source": reviews.source, **_known_of(reviews, test)}
    if recipe.teachers is None or reviews.source == "keras":
        return reviews, None, summary
    unlabeled = load_reviews(data, "unsupervised")
    summary[_UNLABELED] = _known_of(unlabeled, test)
    return reviews, unlabeled, summary


def _known_of(reviews: Reviews, test: Reviews | None) -> dict[str, Any]:
    return {
        "rows": len(reviews),
        "left_out": dict(reviews.left_out),
        "fingerprint": reviews.fingerprint,
        "overlap_with_test": None if test is None else count_overlap(reviews, test),
    }


def reviews_line(summary: Mapping[str, Any]) -> str:
    """What `describe_training` found, as one line for people."""
    left_out = [f"{count:,} {why}" for why, count in summary["left_out"].items() if count]
    overlap = summary["overlap_with_test"]
    return (
        f"{summary['rows']:,} reviews to train on ({summary['source']}); "
        f"left out: {', '.join(left_out) or 'none'}; "
        f"{'unknown how many' if overlap is None else f'{overlap:,}'} test reviews are among them"
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

    Everything stands in a folder of `work` that is named by reviews, recipe and seed. An
    interrupted run resumes from its last checkpoint; a bundle that is there already is not trained
    again.

    Args:
        data: Where the reviews are, see `load.load_reviews`.
        recipe: The name of a recipe.
        seed: From 0 to 2**32 - 1.
        work: A folder for checkpoints and the bundle, made if missing; the caller removes it once
            the bundle is registered.
        extra_train: Labeled Parquet files to add.
        download: Whether the reviews may be downloaded.
        observer: Told how training goes.

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
