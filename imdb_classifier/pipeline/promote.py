"""Registration and promotion as the command line and the flows have them."""

from __future__ import annotations

import subprocess
import sys

from imdb_classifier.evaluation.comparison import compare
from imdb_classifier.evaluation.promotion import Check, Decision, Gates, decide
from imdb_classifier.evaluation.report import render_json, render_model_card
from imdb_classifier.evaluation.result import Evaluation
from imdb_classifier.evaluation.slices import slices_of
from imdb_classifier.model.bundle import Bundle
from imdb_classifier.pipeline.evaluate import examine
from imdb_classifier.pipeline.label_changes import find_label_changes
from imdb_classifier.registry.versions import CHAMPION, Registry
from imdb_classifier.reviews.load import load_reviews
from imdb_classifier.schema import TEXT
from imdb_classifier.scoring.scorer import Scorer
from imdb_classifier.storage.paths import StrPath


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
        data: Where the test rows are that both are compared on, see `load.load_reviews`.
        gates: What must be reached.
        batch: Parquet files without labels, in which few labels may change, see
            `label_changes.find_label_changes`.
        text_column: The column of theirs that holds the text.

    Raises:
        ConfigurationError: The model is no version of the registry, or the reviews come as Keras'
            token ids and one of the models has other ids.
        CannotWriteError: The registry's folder cannot be written.
        ImdbClassifierError: See `load.load_reviews`.
    """
    registry.check_version(challenger)
    champion = registry.load(CHAMPION)
    reviews = load_reviews(data, "test")
    new, old = (examine(bundle, reviews) for bundle in (challenger, champion))
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
    found = (
        "A new process loaded the exported model and reproduced its golden scores."
        if loaded
        else "A new process could not load the exported model or reproduce its golden scores."
    )
    return Check("golden scores", loaded, found)
