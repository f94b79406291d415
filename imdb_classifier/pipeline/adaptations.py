"""Adapting a model to the user's own texts, from labeled reviews to a registered bundle."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from imdb_classifier.errors import BadDataError, NoInputError, counted
from imdb_classifier.evaluation.report import render_model_card
from imdb_classifier.model.bundle import KERAS_FILE, ONNX_FILE, Bundle
from imdb_classifier.model.bundle_writer import write_bundle
from imdb_classifier.model.network import build_network, with_changed_output
from imdb_classifier.model.onnx_reader import weights_of
from imdb_classifier.model.trained import Epoch, TrainedModel
from imdb_classifier.model.weights import eight_bits, rounded
from imdb_classifier.pipeline.evaluate import evaluate_with_report
from imdb_classifier.pipeline.own_sets import load_own_sets
from imdb_classifier.pipeline.promote import register_bundle
from imdb_classifier.progress import Progress
from imdb_classifier.registry.access import CHAMPION
from imdb_classifier.registry.training_runs import training_run
from imdb_classifier.registry.versions import Registry
from imdb_classifier.reviews.dataset import Reviews
from imdb_classifier.reviews.load import load_own_set
from imdb_classifier.reviews.overlap import fingerprints_of, row_fingerprints
from imdb_classifier.reviews.sources import NoReviewsError
from imdb_classifier.schema import TEXT
from imdb_classifier.scoring.scorer import Scorer
from imdb_classifier.storage.paths import StrPath
from imdb_classifier.text.encoding import encode
from imdb_classifier.text.ngrams import Ngrams
from imdb_classifier.training.adaptation import FOLDS, Adaptation, Attempt, choose_adaptation

LEAST_LABELS: Final = 50
_LEAST_OF_EACH: Final = 10
_SUFFIX: Final = "-adapted"
_LONGEST_NAME: Final = 64

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class AdaptedModel:
    """What adapting a model came to.

    Attributes:
        bundle: The registered model; the one it came from if nothing was shown to help.
        base: The model it came from.
        chosen: What was changed, and how it did in cross-validation.
        attempts: The same for everything that was tried, among it no change.
        evaluation: The evaluation on the IMDB test split, as in ``evaluation.json``; empty if these
            reviews are not at hand, or nothing was changed.
        report: The paths of its report by file name.
    """

    bundle: Bundle
    base: Bundle
    chosen: Attempt
    attempts: tuple[Attempt, ...]
    evaluation: Mapping[str, Any]
    report: Mapping[str, str]


def adapt(
    labeled: StrPath,
    model: str = CHAMPION,
    *,
    label_map: Mapping[str, str] | None = None,
    data: StrPath | None = None,
    gate_on: Mapping[str, StrPath] | None = None,
    registry: StrPath | None = None,
    progress: Progress | None = None,
) -> AdaptedModel:
    """Adapt a model to texts of your own, and register the result as ``@challenger``.

    Bias and scale of the log-odds may change, and, from 200 labels on, weights of n-grams.
    Cross-validation on the labels decides what changes; if nothing is shown to help, no model is
    registered. Needs the extra ``train``.

    Args:
        labeled: Parquet files with the columns ``text`` and ``label``: at least 50 rows.
        model: The model to start from: an alias, a version's id, or the path of a bundle.
        label_map: What the labels of your own files mean, such as ``{"1": "negative", "5":
            "positive"}``; None if they are 0 and 1, true and false, or positive and negative.
        data: Where the IMDB reviews are, to evaluate on, see `load_reviews`; without any at hand,
            that is left out.
        gate_on: Other labeled reviews of your own to evaluate on, by names for the sets.
        registry: The registry's folder; None as in `Registry.at`.
        progress: Called with what is counted, how much is done, and how much there is.

    Returns:
        The models before and after, and what was tried.

    Raises:
        BadDataError: There are too few labels, or others than allowed.
        NoInputError: There is no such file.
        MissingExtraError: Keras or TensorFlow is not installed.
        UnknownModelError: There is no such model.
        BundleError: The model is damaged.
        CannotWriteError: The registry cannot be written.

    Example:
        >>> import pyarrow as pa, pyarrow.parquet as pq
        >>> from imdb_classifier import adapt
        >>> texts = [f"Delivered in {n} days, {w}." for n in range(40) for w in ("fine", "broken")]
        >>> pq.write_table(pa.table({"text": texts, "label": [1, 0] * 40}), "labeled.parquet")
        >>> adapted = adapt("labeled.parquet")
        >>> [attempt.change for attempt in adapted.attempts]
        ['none', 'bias and scale']
    """
    where = Registry.at(registry)
    reviews = load_own_set(labeled, label_map, "train")
    positives = int((reviews.labels == 1).sum())
    if len(reviews) < LEAST_LABELS or min(positives, len(reviews) - positives) < _LEAST_OF_EACH:
        raise BadDataError(
            f"Adapting a model takes at least {counted(LEAST_LABELS, 'label')}, "
            f"{_LEAST_OF_EACH} of each kind.",
            f"There are {len(reviews) - positives:,} negative and {positives:,} positive ones.",
            "Label more texts.",
        )
    own_sets = load_own_sets(gate_on, label_map)
    where.check_writable()
    base = where.load(model)
    chosen, adaptation, attempts = _choose(base, reviews)
    logger.info("adapting to %s: %s", counted(len(reviews), "label"), chosen)
    if chosen.change == "none":
        return AdaptedModel(base, base, chosen, attempts, {}, {})
    run = f"adapt-{base.model_hash[:12]}-{reviews.fingerprint[:12]}"
    with training_run(where.work, run):
        target = Path(where.work) / run / "bundle"
        shutil.rmtree(target, ignore_errors=True)
        described = {
            "base": base.model_id,
            "base_hash": base.model_hash,
            "labels": {
                "rows": len(reviews),
                "positive": positives,
                "left_out": dict(reviews.left_out),
                "label_map": None if label_map is None else dict(label_map),
                "fingerprint": reviews.fingerprint,
            },
            "folds": FOLDS,
            "chosen": asdict(chosen),
            "attempts": [asdict(attempt) for attempt in attempts],
        }
        adapted = _written(base, adaptation, reviews, described, target)
        evaluation: Mapping[str, Any] = {}
        report: Mapping[str, str] = {}
        try:
            evaluated, report = evaluate_with_report(
                adapted, data, where, own_sets=own_sets, progress=progress
            )
        except (NoInputError, NoReviewsError):
            if data is not None or own_sets:
                raise
            bundle = where.register(adapted, "{}", render_model_card(adapted.manifest, None))
        else:
            bundle, evaluation = register_bundle(adapted, evaluated, where), evaluated.to_dict()
    return AdaptedModel(bundle, base, chosen, attempts, evaluation, report)


def _choose(base: Bundle, reviews: Reviews) -> tuple[Attempt, Adaptation, tuple[Attempt, ...]]:
    sequences = encode(reviews.table[TEXT], base.vocabulary, base.recipe.encoding)
    with Scorer(base) as scorer:
        probabilities = scorer.sequence_probabilities(sequences).astype(np.float64)
    smallest = np.finfo(np.float32).eps
    probabilities = np.clip(probabilities, smallest, 1 - smallest)
    chosen, adaptation, attempts = choose_adaptation(
        np.log(probabilities / (1 - probabilities)),
        sequences,
        reviews.labels,
        row_fingerprints(reviews.table),
        _step(base),
    )
    return chosen, adaptation, tuple(attempts)


def _step(base: Bundle) -> float | None:
    """What one step of an n-gram's 8-bit weight adds to the log-odds, without the root."""
    if base.ngrams is None:
        return None
    weights = weights_of((base.path / ONNX_FILE).read_bytes(), base.recipe)
    step = float(weights.output_kernel[-1, 0] * eight_bits(weights.ngram_weights)[1])
    return step or None


def _written(
    base: Bundle,
    adaptation: Adaptation,
    reviews: Reviews,
    described: Mapping[str, Any],
    target: Path,
) -> Bundle:
    """Write the bundle of an adapted model, and load it."""
    recipe, ngrams = base.recipe, base.ngrams
    before = build_network(recipe.encoding, recipe.network, seed=0)  # every weight is replaced
    before.load_weights(base.path / KERAS_FILE)
    name = recipe.name.removesuffix(_SUFFIX)[: _LONGEST_NAME - len(_SUFFIX)] + _SUFFIX
    table = None
    network = recipe.network
    if ngrams is not None:
        weights = weights_of((base.path / ONNX_FILE).read_bytes(), recipe)
        factor = float(weights.output_kernel[-1, 0]) * adaptation.scale
        ngrams, table = _merged(ngrams, weights.ngram_weights, adaptation, factor)
        network = replace(network, ngrams=len(table) - 1)
    after = with_changed_output(
        before, adaptation.scale, adaptation.bias, table, recipe.encoding, network
    )
    return write_bundle(
        TrainedModel(
            after,
            base.vocabulary,
            replace(recipe, name=name, network=network),
            base.manifest["seed"],
            tuple(Epoch(**epoch) for epoch in base.manifest["history"]),
            ngrams,
        ),
        base.manifest["data"],
        np.union1d(base.learned, fingerprints_of([reviews.table])),
        target,
        described,
    )


def _merged(
    ngrams: Ngrams, weights: NDArray[np.float32], adaptation: Adaptation, factor: float
) -> tuple[Ngrams, NDArray[np.float32]]:
    """Return the n-grams of both, and their weights by id, rounded to 8 bits.

    Args:
        ngrams: The n-grams of the model.
        weights: float32, by id.
        adaptation: The change.
        factor: By what the network multiplies the sum of weights.
    """
    if adaptation.ngrams is None or adaptation.weights is None:
        return ngrams, weights
    listed = np.union1d(ngrams.listed, adaptation.ngrams.listed)
    merged = np.zeros(len(listed) + 1)
    merged[1 + np.searchsorted(listed, ngrams.listed)] = weights[1 : len(ngrams) + 1]
    merged[1 + np.searchsorted(listed, adaptation.ngrams.listed)] += adaptation.weights / factor
    # Larger ones would make all others coarser.
    largest = np.abs(weights).max()
    return Ngrams(listed, ngrams.in_parts), rounded(
        np.clip(merged, -largest, largest).astype(np.float32)
    )
