"""The jobs that the command line and the flows have in common: train, evaluate, register, promote.

Nothing here knows of Prefect. Models and reviews stay inside these functions; what goes in and out
are paths, references and figures.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from imdb_classifier import samples
from imdb_classifier.bundle import Bundle, load_bundle, write_bundle
from imdb_classifier.config import recipe as named_recipe
from imdb_classifier.encoding import encode_reviews
from imdb_classifier.errors import ConfigurationError, NoInputError
from imdb_classifier.evaluation import Evaluation, KindSlice
from imdb_classifier.imdb import Reviews, add_reviews, count_overlap, load_reviews
from imdb_classifier.metrics import evaluate, evaluate_kinds
from imdb_classifier.registry import CHAMPION, Decision, Registry, decide
from imdb_classifier.report import render_json, render_model_card
from imdb_classifier.schema import LABEL, TEXT
from imdb_classifier.scoring import Scorer
from imdb_classifier.training import TrainingObserver, run_key, train

logger = logging.getLogger(__name__)


def load_training_reviews(
    data: str | None, extra_train: Sequence[str] = (), *, download: bool = False
) -> tuple[Reviews, dict[str, Any]]:
    """The reviews to train on, and what is known of them.

    Args:
        data: Where the reviews are, see `imdb.load_reviews`.
        extra_train: Labelled Parquet files to add.
        download: Whether they may be downloaded.

    Returns:
        The reviews; and their source, rows, rows left out, fingerprint, and how many rows of the
        test split stand among them too (None where there is no test split).
    """
    reviews = load_reviews(data, "train", download=download)
    if extra_train:
        reviews = add_reviews(reviews, extra_train)
    try:
        overlap = count_overlap(reviews, load_reviews(data, "test"))
    except NoInputError:
        overlap = None
    summary = {
        "source": reviews.source,
        "rows": len(reviews),
        "left_out": dict(reviews.left_out),
        "fingerprint": reviews.fingerprint,
        "overlap_with_test": overlap,
    }
    logger.info("%s", reviews_line(summary))
    return reviews, summary


def reviews_line(summary: Mapping[str, Any]) -> str:
    """What `load_training_reviews` found, as one line for people."""
    left_out = [f"{count:,} {why}" for why, count in summary["left_out"].items() if count]
    overlap = summary["overlap_with_test"]
    return (
        f"{summary['rows']:,} reviews to train on ({summary['source']}); "
        f"left out: {', '.join(left_out) or 'none'}; "
        f"{'unknown how many' if overlap is None else f'{overlap:,}'} test reviews are among them"
    )


def train_bundle(
    data: str | None,
    recipe: str,
    seed: int,
    work: Path,
    *,
    extra_train: Sequence[str] = (),
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
        extra_train: Labelled Parquet files to add.
        download: Whether the reviews may be downloaded.
        observer: Told how training goes.

    Raises:
        ImdbClassifierError: See `imdb.load_reviews`, `training.train`, `bundle.write_bundle`.
    """
    chosen = named_recipe(recipe)
    reviews, summary = load_training_reviews(data, extra_train, download=download)
    unlabelled = None
    if chosen.teachers is not None and reviews.source != "keras":
        unlabelled = load_reviews(data, "unsupervised")
        summary["unlabelled"] = {
            "rows": len(unlabelled),
            "left_out": dict(unlabelled.left_out),
            "fingerprint": unlabelled.fingerprint,
        }
    target = work / run_key(reviews, chosen, seed, unlabelled)
    if target.exists():
        return load_bundle(target)
    checkpoints = target.with_suffix(".checkpoints")
    trained = train(
        reviews, chosen, seed, checkpoints, observer, unlabelled, readings=work / "readings"
    )
    bundle = write_bundle(trained, summary, target)
    shutil.rmtree(checkpoints)
    return bundle


def evaluate_bundle(
    bundle: Bundle, data: str | None, *, download: bool = False
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
    trained_on = bundle.manifest["data"]
    if reviews.words is not None and trained_on["source"] != "keras":
        raise ConfigurationError(
            "Keras' token ids can only be scored by a model that was trained on them.",
            f"{bundle.model_id} was trained on {trained_on['source']} reviews.",
            "Name reviews with text with --data.",
        )
    encoding = bundle.recipe.encoding
    uncut = encode_reviews(reviews.table, bundle.vocabulary, encoding.uncut)
    with Scorer(bundle) as scorer:
        probabilities = scorer.sequence_probabilities(uncut.tails(encoding.sequence_length))
        by_kind = _evaluate_sample(bundle, scorer)
    figures = evaluate(
        reviews.labels,
        probabilities,
        # The start token is no word of the review's.
        uncut.lengths - 1,
        data={
            "source": reviews.source,
            "split": reviews.split,
            "fingerprint": reviews.fingerprint,
            "left_out": dict(reviews.left_out),
            "overlap_with_train": trained_on["overlap_with_test"],
        },
        model={
            "id": bundle.model_id,
            "hash": bundle.model_hash,
            "recipe": bundle.recipe.name,
            "seed": bundle.manifest["seed"],
        },
        history=bundle.manifest["history"],
        by_kind=by_kind,
    )
    return figures, reviews


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


def compare_with_champion(challenger: Bundle, registry: Registry, data: str | None) -> Decision:
    """Whether a model is good enough to become the champion, judged on the same test rows.

    Args:
        challenger: The model.
        registry: Where the champion is.
        data: Where the test rows are. None: the rows that both were evaluated on when they were
            registered; where these differ, as in `imdb.load_reviews`.

    Raises:
        ImdbClassifierError: See `imdb.load_reviews`.
    """
    champion = registry.load(CHAMPION)
    ours, theirs = challenger.evaluation, champion.evaluation
    if data is None and ours and theirs and _rows_of(ours) == _rows_of(theirs):
        return decide(ours, theirs)
    rows = load_reviews(data, "test").fingerprint
    return decide(*(_evaluation_on(rows, bundle, data) for bundle in (challenger, champion)))


def _evaluation_on(rows: str, bundle: Bundle, data: str | None) -> Mapping[str, Any]:
    stored = bundle.evaluation
    if stored and _rows_of(stored) == rows:
        return stored
    return evaluate_bundle(bundle, data)[0].to_dict()


def _rows_of(evaluation: Mapping[str, Any]) -> str:
    return str(evaluation["data"]["fingerprint"])
