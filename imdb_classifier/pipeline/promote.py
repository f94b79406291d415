"""Registration and promotion of models."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from imdb_classifier.errors import (
    EXIT_BAD_DATA,
    EXIT_DONE,
    BundleError,
    CannotWriteError,
    UnavailableError,
    UnknownModelError,
)
from imdb_classifier.evaluation.comparison import compare
from imdb_classifier.evaluation.promotion import Check, Decision, Gates, decide
from imdb_classifier.evaluation.report import render_json, render_model_card
from imdb_classifier.evaluation.result import Evaluation
from imdb_classifier.evaluation.slices import slices_of
from imdb_classifier.model.bundle import Bundle, load_bundle
from imdb_classifier.pipeline.evaluate import Examined, check_token_ids, examine
from imdb_classifier.pipeline.label_changes import check_batch, find_label_changes
from imdb_classifier.progress import Progress
from imdb_classifier.registry.access import ChampionChangedError
from imdb_classifier.registry.versions import Registry, bundled_path
from imdb_classifier.reviews.dataset import Reviews
from imdb_classifier.reviews.load import load_reviews
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
    registry: Registry, data: StrPath | None, batch: StrPath | None, text_column: str
) -> Reviews:
    """Check what a decision depends on besides the challenger, before a model is trained for it.

    Args:
        registry: The registry that has the champion.
        data: Where the test reviews are, see `load.load_reviews`.
        batch: Unlabeled Parquet files, or None.
        text_column: The text column of these files.

    Returns:
        The test reviews.

    Raises:
        ConfigurationError: The reviews are Keras' token ids, and the champion was trained on
            others.
        CannotWriteError: The registry cannot be written.
        ImdbClassifierError: See `load.load_reviews` and `label_changes.check_batch`.
    """
    if batch is not None:
        check_batch(batch, text_column)
    opponent = _opponent_in(registry)
    registry.check_writable()
    reviews = load_reviews(data, "test")
    check_token_ids(opponent.bundle, reviews)
    return reviews


def decide_promotion(
    challenger: Bundle,
    registry: Registry,
    data: StrPath | None,
    gates: Gates | None = None,
    batch: StrPath | None = None,
    text_column: str = TEXT,
    requested_by: Mapping[str, str] | None = None,
    progress: Progress | None = None,
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
        requested_by: Who asked for the decision, see `Registry.record`.
        progress: Called with the number of reviews, then of files in the batch, compared.

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
    reviews = check_promotion(registry, data, batch, text_column)

    def examined(bundle: Bundle, before: int) -> Examined:
        def scored(done: int) -> None:
            if progress is not None:
                progress("reviews compared", before + done, 2 * len(reviews))

        return examine(bundle, reviews, scored)

    new = examined(challenger, 0)
    rows = slices_of(
        new.untruncated, challenger.vocabulary, challenger.recipe.encoding.sequence_length
    )
    loads = _load_afresh(challenger)
    changes: list[str] = []
    while True:
        opponent = _opponent_in(registry, challenger.model_id)
        if opponent.champion == challenger.model_id:
            return None
        old = examined(opponent.bundle, len(reviews))
        label_changes = None
        if batch is not None:
            with Scorer(challenger) as by_new, Scorer(opponent.bundle) as by_old:
                label_changes = find_label_changes(batch, text_column, by_new, by_old, progress)
        labels, ours, theirs = reviews.labels, new.probabilities, old.probabilities
        decision = decide(
            new.evaluation,
            old.evaluation,
            compare("all test rows", labels, ours, theirs),
            tuple(compare(name, labels[at], ours[at], theirs[at]) for name, at in rows.items()),
            gates or Gates(),
            label_changes,
            (loads,),
            (*changes, *opponent.notes),
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
