"""Registration and promotion of models."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from imdb_classifier.errors import (
    EXIT_BAD_DATA,
    EXIT_DONE,
    BundleError,
    CannotWriteError,
    UnavailableError,
    UnknownModelError,
)
from imdb_classifier.evaluation.behavior.losses import compare_behavior
from imdb_classifier.evaluation.comparison import Comparison, compare
from imdb_classifier.evaluation.promotion import Check, Decision, Gates, decide
from imdb_classifier.evaluation.report import render_json, render_model_card
from imdb_classifier.evaluation.result import Evaluation
from imdb_classifier.evaluation.slices import LEAST_ROWS, slices_of
from imdb_classifier.model.bundle import Bundle, load_bundle
from imdb_classifier.pipeline.evaluate import Examined, check_token_ids, examine
from imdb_classifier.pipeline.label_changes import check_batch, find_label_changes
from imdb_classifier.pipeline.own_sets import (
    OwnSets,
    check_unlike,
    compare_on_own_set,
    load_own_sets,
    unseen,
)
from imdb_classifier.progress import Progress
from imdb_classifier.registry.access import ChampionChangedError
from imdb_classifier.registry.versions import Registry, bundled_path
from imdb_classifier.reviews.dataset import Reviews
from imdb_classifier.reviews.load import load_reviews
from imdb_classifier.reviews.parquet import LabelMap
from imdb_classifier.schema import TEXT
from imdb_classifier.scoring.scorer import Scorer
from imdb_classifier.storage.paths import StrPath

_COMPARISONS: Final = 3
"""How many champions a model is compared with at most, if other runs keep changing it."""

_LOAD: Final = f"""
import sys
from imdb_classifier.errors import BundleError
from imdb_classifier.model.bundle import load_bundle
try:
    load_bundle(sys.argv[1])
except BundleError as error:
    print(error, file=sys.stderr)
    sys.exit({EXIT_BAD_DATA})
"""
_LOAD_SECONDS: Final = 600

logger = logging.getLogger(__name__)


def register_bundle(bundle: Bundle, evaluation: Evaluation, registry: Registry) -> Bundle:
    """Store an evaluated model as a version of the registry and make it the challenger."""
    card = render_model_card(bundle.manifest, evaluation)
    return registry.register(bundle, render_json(evaluation), card)


def check_promotion(
    registry: Registry,
    data: StrPath | None,
    batch: StrPath | None,
    text_column: str,
    reference: str | None = None,
    gate_on: Mapping[str, StrPath] | None = None,
    label_map: LabelMap | None = None,
) -> tuple[Reviews, OwnSets]:
    """Check what a decision depends on besides the challenger, before a model is trained for it.

    Args:
        registry: The registry that has the champion.
        data: Where the test reviews are, see `load.load_reviews`.
        batch: Unlabeled Parquet files, or None.
        text_column: The text column of these files.
        reference: A fixed model, see `decide_promotion`.
        gate_on: Labeled reviews of the user's own, see `decide_promotion`.
        label_map: What their labels mean, see `load.load_own_set`.

    Returns:
        The test reviews, and the user's own.

    Raises:
        ConfigurationError: The reviews are Keras' token ids, and the champion was trained on
            others; or an own set is made of test reviews.
        CannotWriteError: The registry cannot be written.
        ImdbClassifierError: See `load.load_reviews`, `label_changes.check_batch`,
            `own_sets.load_own_sets` and `Registry.load`.
    """
    own_sets = load_own_sets(gate_on, label_map)
    if batch is not None:
        check_batch(batch, text_column)
    opponents = (_opponent_in(registry).bundle, _reference(registry, reference))
    registry.check_writable()
    reviews = load_reviews(data, "test")
    for bundle in opponents:
        check_token_ids(bundle, reviews)
    check_unlike(own_sets, reviews)
    return reviews, own_sets


def decide_promotion(
    challenger: Bundle,
    registry: Registry,
    data: StrPath | None,
    gates: Gates | None = None,
    batch: StrPath | None = None,
    text_column: str = TEXT,
    reference: str | None = None,
    requested_by: Mapping[str, str] | None = None,
    progress: Progress | None = None,
    gate_on: Mapping[str, StrPath] | None = None,
    label_map: LabelMap | None = None,
) -> Decision | None:
    """Decide whether a model becomes the champion, store the decision, and promote the model if so.

    Only the champion that the model was compared with is replaced. If another run changes it
    meanwhile, the decision is made again. A damaged champion is replaced, too; the one before, or
    the bundled model, stands in for it in the comparison.

    Args:
        challenger: A version of the registry.
        registry: The registry that has the champion.
        data: Where the test reviews are, on which both models are compared, see
            `load.load_reviews`.
        gates: Limits that the model must meet; None for the defaults.
        batch: Unlabeled Parquet files in which few labels may change, see
            `label_changes.find_label_changes`.
        text_column: The text column of these files.
        reference: A fixed model that this one may not be far below either, so that small losses
            from champion to champion cannot add up: a version's id or the path of a bundle; None
            for the bundled model.
        requested_by: Who asked for the decision, see `Registry.record`.
        progress: Called with the number of reviews, then of files in the batch, compared.
        gate_on: Labeled reviews of the user's own, on which both models are compared, too: Parquet
            files or folders of them, by names for the sets.
        label_map: What the labels of these mean, see `load.load_own_set`.

    Returns:
        The decision; None if the model is the champion already, and nothing was done.

    Raises:
        ConfigurationError: The model is not a version of the registry; or the reviews are Keras'
            token ids, and the model was trained on others.
        ChampionChangedError: Other runs kept changing the champion; nothing was decided.
        UnavailableError: There was no memory or time for a second process to load the model;
            nothing was decided.
        CannotWriteError: The champion cannot be changed, or the refusal cannot be stored.
        ImdbClassifierError: See `check_promotion` and `label_changes.find_label_changes`.
    """
    registry.check_version(challenger)
    if registry.champion_id() == challenger.model_id:
        return None
    reviews, own_sets = check_promotion(
        registry, data, batch, text_column, reference, gate_on, label_map
    )

    def examined(bundle: Bundle) -> Examined:
        def scored(done: int) -> None:
            if progress is not None:
                progress(f"test reviews scored by {bundle.model_id}", done, len(reviews))

        return examine(bundle, reviews, scored, None, own_sets)

    def compared(name: str, rows: NDArray[np.bool_], other: Examined) -> Comparison:
        return compare(
            name, reviews.labels[rows], new.probabilities[rows], other.probabilities[rows]
        )

    new, anchor = examined(challenger), _reference(registry, reference)
    by_anchor = new if anchor.model_hash == challenger.model_hash else examined(anchor)
    beside_anchor = compared(f"reference {anchor.model_id}", unseen(new, by_anchor), by_anchor)
    encoding = challenger.recipe.encoding
    slices = slices_of(new.untruncated, challenger.vocabulary, encoding.sequence_length)
    loads = _load_afresh(challenger)
    changes: list[str] = []
    while True:
        opponent = _opponent_in(registry, challenger.model_id)
        if opponent.champion == challenger.model_id:
            return None
        is_anchor = opponent.bundle.model_hash == anchor.model_hash
        old = by_anchor if is_anchor else examined(opponent.bundle)
        label_changes = None
        if batch is not None:
            with Scorer(challenger) as by_new, Scorer(opponent.bundle) as by_old:
                label_changes = find_label_changes(batch, text_column, by_new, by_old, progress)
        both_unseen = unseen(new, old)
        fixed = None if is_anchor or by_anchor is new else by_anchor
        parts = {name: rows & both_unseen for name, rows in slices.items()}
        decision = decide(
            new.evaluation,
            old.evaluation,
            compared("all test rows", both_unseen, old),
            tuple(
                compared(name, rows, old)
                for name, rows in parts.items()
                if rows.sum() >= LEAST_ROWS
            ),
            gates or Gates(),
            beside_anchor if fixed else None,
            label_changes,
            (loads,),
            (*changes, *opponent.notes),
            tuple(
                compare_on_own_set(
                    name,
                    own_set,
                    new.own_sets[name],
                    old.own_sets[name],
                    fixed.own_sets[name] if fixed else None,
                )
                for name, own_set in own_sets.items()
            ),
            tuple(
                compare_behavior(called, new.suite, other.suite)
                for called, other in (("champion", old), ("reference", fixed))
                if other
            ),
        )
        try:
            if decision.promote:
                registry.promote(
                    challenger.model_id,
                    champion=opponent.champion,
                    previous=opponent.bundle.model_id,
                )
            else:
                registry.check_champion(opponent.champion)
        except ChampionChangedError as error:
            changes.append(
                f"The champion changed from {error.expected} to {error.found} during the "
                "comparison, so the decision was made again."
            )
            logger.warning("%s", changes[-1])
            if len(changes) == _COMPARISONS:
                raise
        else:
            # In this order, an interruption in between does not leave a decision that was not
            # carried out.
            try:
                registry.record(challenger.model_id, decision.to_dict(), requested_by)
            except CannotWriteError as error:
                if not decision.promote:
                    raise
                logger.warning(
                    "%s is the champion, but the decision could not be stored: %s",
                    *(challenger.model_id, error),
                )
            return decision


def _reference(registry: Registry, reference: str | None) -> Bundle:
    """Return the fixed model that a challenger is compared with besides the champion."""
    return load_bundle(bundled_path()) if reference is None else registry.load(reference)


@dataclass(frozen=True)
class _Opponent:
    """The model that a challenger is compared with.

    Attributes:
        champion: The id of the champion.
        bundle: The champion, or the model that stands in for it.
        notes: If one stands in, a sentence that says so.
    """

    champion: str
    bundle: Bundle
    notes: tuple[str, ...]


def _opponent_in(registry: Registry, challenger: str | None = None) -> _Opponent:
    """Return the champion; if it is damaged, the one before it; if that is, the bundled model.

    Args:
        registry: The registry.
        challenger: The id of the model to compare with it, which does not stand in for it.
    """
    champion = registry.champion_id()
    for model_id in (champion, registry.aliases().get("previous")):
        if model_id and model_id != challenger:
            try:
                bundle = registry.load(model_id)
                break
            except (BundleError, UnknownModelError) as error:
                logger.warning("%s cannot be compared with: %s", model_id, error)
    else:
        bundle = load_bundle(bundled_path())
    if bundle.model_id == champion:
        return _Opponent(champion, bundle, ())
    note = f"{bundle.model_id} stood in for the champion {champion}, which is damaged or missing."
    return _Opponent(champion, bundle, (note,))


def _load_afresh(bundle: Bundle) -> Check:
    """Check that a new process can load a model, which includes scoring its golden texts.

    Raises:
        UnavailableError: The process failed before it could tell.
    """
    # From this machine: what an object store does meanwhile says nothing about the model.
    command = [sys.executable, "-c", _LOAD, str(bundle.path)]
    try:
        ran = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=_LOAD_SECONDS,
        )
    except subprocess.TimeoutExpired:
        fault = f"has not finished within {_LOAD_SECONDS} seconds"
    else:
        last = (ran.stderr.splitlines() or ["no message"])[-1]
        if ran.returncode == EXIT_DONE:
            found = "The exported model loads in a new process, with the same golden scores."
            return Check("golden scores", True, found)
        if ran.returncode == EXIT_BAD_DATA:
            found = f"The exported model does not load in a new process: {last}"
            return Check("golden scores", False, found)
        fault = f"ended with exit code {ran.returncode}: {last.rstrip('.')}"
    raise UnavailableError(
        "A new process must be able to load the exported model.",
        f"The process {fault}.",
        "Make sure that there is memory for a second process, and try again; nothing was decided.",
    )
