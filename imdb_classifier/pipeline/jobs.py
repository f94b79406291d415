"""The jobs that the command line and the flows have in common: train, evaluate, register, promote.

Nothing here knows of Prefect. Models and reviews stay inside these functions; what goes in and out
are paths, references and figures.
"""

from __future__ import annotations

import json
import logging
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from imdb_classifier import samples
from imdb_classifier.config import Recipe
from imdb_classifier.config import recipe as named_recipe
from imdb_classifier.errors import ConfigurationError, NoInputError
from imdb_classifier.evaluation.comparison import compare
from imdb_classifier.evaluation.metrics import evaluate, evaluate_kinds
from imdb_classifier.evaluation.promotion import Check, Decision, Gates, decide
from imdb_classifier.evaluation.report import render_json, render_model_card
from imdb_classifier.evaluation.result import Evaluation, KindSlice
from imdb_classifier.evaluation.slices import slices_of
from imdb_classifier.model.bundle import Bundle, load_bundle
from imdb_classifier.model.bundle_writer import write_bundle
from imdb_classifier.pipeline.label_changes import find_label_changes
from imdb_classifier.registry.versions import CHAMPION, Registry
from imdb_classifier.reviews.dataset import Reviews, count_overlap
from imdb_classifier.reviews.load import add_reviews, load_reviews
from imdb_classifier.schema import LABEL, TEXT
from imdb_classifier.scoring.scorer import Scorer
from imdb_classifier.storage.paths import StrPath
from imdb_classifier.text.batch_profile import BatchProfile
from imdb_classifier.text.encoding import TokenSequences, encode_reviews
from imdb_classifier.training.loop import TrainingObserver, run_key, train

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
        data: Where the reviews are, see `imdb.load_reviews`.
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
        ImdbClassifierError: See `imdb.load_reviews` and `Registry.manifests`.
    """
    chosen = named_recipe(recipe)
    _, _, summary = _training_reviews(data, chosen, extra_train, download)
    asked = json.loads(json.dumps([chosen.to_dict(), seed, summary]))
    for manifest in registry.manifests():
        if [manifest["recipe"], manifest["seed"], manifest["data"]] == asked:
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
    summary["unlabelled"] = _known_of(unlabeled, test)
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

    Everything stands in a folder of `work` that is named by reviews, recipe and seed. A run that
    was killed goes on from its last checkpoint when it is started again; a bundle that is there
    already is not trained again.

    Args:
        data: Where the reviews are, see `imdb.load_reviews`.
        recipe: The name of a recipe.
        seed: From 0 to 2**32 - 1.
        work: A folder for checkpoints and the bundle, made if missing; the caller removes it once
            the bundle is registered.
        extra_train: Labeled Parquet files to add.
        download: Whether the reviews may be downloaded.
        observer: Told how training goes.

    Raises:
        ImdbClassifierError: See `imdb.load_reviews`, `training.train`, `bundle.write_bundle`.
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


def evaluate_bundle(
    bundle: Bundle, data: StrPath | None, *, download: bool = False
) -> tuple[Evaluation, Reviews]:
    """Check a model against the test split.

    Args:
        bundle: The model.
        data: Where the reviews are, see `imdb.load_reviews`.
        download: Whether they may be downloaded.

    Returns:
        The figures, and the test reviews they were measured on.

    Raises:
        ConfigurationError: The reviews come as Keras' token ids and the model has other ids.
        ImdbClassifierError: See `imdb.load_reviews`.
    """
    reviews = load_reviews(data, "test", download=download)
    _check_ids(bundle, reviews)
    return _examine(bundle, reviews).evaluation, reviews


@dataclass(frozen=True)
class _Examined:
    """A model's evaluation, and what it said of each row."""

    evaluation: Evaluation
    probabilities: NDArray[np.float32]
    untruncated: TokenSequences


def _examine(bundle: Bundle, reviews: Reviews) -> _Examined:
    encoding = bundle.recipe.encoding
    untruncated = encode_reviews(reviews.table, bundle.vocabulary, encoding.untruncated)
    with Scorer(bundle) as scorer:
        probabilities = scorer.sequence_probabilities(untruncated.tails(encoding.sequence_length))
        by_kind = _evaluate_sample(bundle, scorer)
    figures = evaluate(
        reviews.labels,
        probabilities,
        # The start token is no word of the review's.
        untruncated.lengths - 1,
        data={
            "source": reviews.source,
            "split": reviews.split,
            "fingerprint": reviews.fingerprint,
            "left_out": dict(reviews.left_out),
            "overlap_with_train": bundle.manifest["data"]["overlap_with_test"],
        },
        model={
            "id": bundle.model_id,
            "hash": bundle.model_hash,
            "recipe": bundle.recipe.name,
            "seed": bundle.manifest["seed"],
        },
        history=bundle.manifest["history"],
        by_kind=by_kind,
        profile=BatchProfile.of(untruncated, probabilities, encoding.sequence_length),
    )
    return _Examined(figures, probabilities, untruncated)


def _evaluate_sample(bundle: Bundle, scorer: Scorer) -> tuple[KindSlice, ...]:
    """How a model does on the kinds of text that the sample holds."""
    learned = load_reviews(str(samples.FOLDER), "train").fingerprint
    # A model that learned from the sample has seen the rest of it.
    part = "test" if bundle.manifest["data"]["fingerprint"] == learned else "*"
    files = sorted(samples.FOLDER.glob(f"{part}-*.parquet"))
    texts = pa.concat_tables([pq.read_table(file) for file in files])
    probabilities = scorer.probabilities(texts[TEXT]).to_numpy()
    return evaluate_kinds(texts[samples.KIND].to_pylist(), texts[LABEL].to_numpy(), probabilities)


def worst_texts(evaluation: Evaluation, reviews: Reviews) -> list[str] | None:
    """The texts of an evaluation's worst rows, for whoever asked for them; None without texts."""
    if TEXT not in reviews.table.column_names:
        return None
    column = reviews.table[TEXT]
    return [column[wrong.row].as_py() for wrong in evaluation.worst]


def register_bundle(bundle: Bundle, evaluation: Evaluation, registry: Registry) -> Bundle:
    """Keep an evaluated model as a version of the registry, as the challenger."""
    card = render_model_card(bundle.manifest, evaluation)
    return registry.register(bundle, render_json(evaluation), card)


def decide_promotion(
    challenger: Bundle,
    registry: Registry,
    data: StrPath | None,
    gates: Gates | None = None,
    batch: StrPath | None = None,
    text_column: str = TEXT,
) -> Decision:
    """Decide whether a model becomes the champion, do so if it does, and keep the decision.

    Args:
        challenger: A version of the registry.
        registry: Where the champion is.
        data: Where the test rows are that both are compared on, see `imdb.load_reviews`.
        gates: What must be reached.
        batch: Parquet files without labels, in which few labels may change, see
            `label_changes.find_label_changes`.
        text_column: The column of theirs that holds the text.

    Raises:
        ConfigurationError: The model is no version of the registry, or the reviews come as Keras'
            token ids and one of the models has other ids.
        CannotWriteError: The registry's folder cannot be written.
        ImdbClassifierError: See `imdb.load_reviews`.
    """
    registry.check_version(challenger)
    champion = registry.load(CHAMPION)
    reviews = load_reviews(data, "test")
    for bundle in (challenger, champion):
        _check_ids(bundle, reviews)
    new, old = (_examine(bundle, reviews) for bundle in (challenger, champion))
    rows = slices_of(
        new.untruncated, challenger.vocabulary, challenger.recipe.encoding.sequence_length
    )
    changes = None
    if batch is not None:
        with Scorer(challenger) as by_new, Scorer(champion) as by_old:
            changes = find_label_changes(batch, text_column, by_new, by_old)
    labels, ours, theirs = reviews.labels, new.probabilities, old.probabilities
    decision = decide(
        new.evaluation,
        old.evaluation,
        compare("all test rows", labels, ours, theirs),
        tuple(compare(name, labels[at], ours[at], theirs[at]) for name, at in rows.items()),
        gates or Gates(),
        changes,
        (_load_afresh(challenger),),
    )
    registry.record(challenger.model_id, decision.to_dict())
    if decision.promote:
        registry.promote(challenger.model_id)
    return decision


def _load_afresh(bundle: Bundle) -> Check:
    """Whether another process can load a model, which has it score its golden texts."""
    program = (
        "import sys; from imdb_classifier.model.bundle import load_bundle; load_bundle(sys.argv[1])"
    )
    command = [sys.executable, "-c", program, bundle.location]
    loaded = subprocess.run(command, capture_output=True, check=False).returncode == 0
    said = "A fresh process loads the exported model and gets its golden scores again."
    return Check("golden scores", loaded, said if loaded else said.replace("loads", "cannot load"))


def _check_ids(bundle: Bundle, reviews: Reviews) -> None:
    if reviews.words is not None and bundle.manifest["data"]["source"] != "keras":
        raise ConfigurationError(
            "Keras' token ids can only be scored by a model that was trained on them.",
            f"{bundle.model_id} was trained on {bundle.manifest['data']['source']} reviews.",
            "Name reviews with text with --data.",
        )
