"""Labeled reviews of the user's own: loading, checking and scoring them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from imdb_classifier.errors import BadDataError, ConfigurationError, counted, listed
from imdb_classifier.evaluation.comparison import Comparison, OwnComparison, compare
from imdb_classifier.evaluation.metrics import accuracy_and_log_loss
from imdb_classifier.evaluation.promotion import LEAST_OWN_ROWS, Gates
from imdb_classifier.evaluation.result import Figure, OwnSet
from imdb_classifier.reviews.dataset import Reviews
from imdb_classifier.reviews.load import load_own_set
from imdb_classifier.reviews.overlap import fingerprints_of, known_rows
from imdb_classifier.reviews.parquet import LabelMap
from imdb_classifier.schema import TEXT
from imdb_classifier.scoring.scorer import Scorer
from imdb_classifier.storage.paths import StrPath

OwnSets = Mapping[str, Reviews]
"""Labeled reviews of the user's own, by the names of the sets."""

_NAME: Final = re.compile(r"\w[\w-]*", re.ASCII)


@dataclass(frozen=True)
class Scored:
    """What a model makes of labeled reviews.

    Attributes:
        model_id: The id of the model.
        probabilities: float32 (reviews,), of positive.
        learned: bool (reviews,), whether the model was trained on the review, labeled or not.
    """

    model_id: str
    probabilities: NDArray[np.float32]
    learned: NDArray[np.bool_]


def load_own_sets(
    gate_on: Mapping[str, StrPath] | None, label_map: LabelMap | None = None
) -> OwnSets:
    """Load sets of labeled reviews, and check what can be checked without a model.

    Args:
        gate_on: Labeled Parquet files, or folders of them, by names for the sets; None for none.
        label_map: What their labels mean, see `load.load_own_set`.

    Raises:
        ConfigurationError: A name has other characters than letters, digits, ``_`` and ``-``.
        BadDataError: A set has fewer than `LEAST_OWN_ROWS` labeled reviews, or none of one label;
            or as in `load.load_own_set`.
        NoInputError: As in `load.load_own_set`.
    """
    gate_on = gate_on or {}
    names = [name for name in gate_on if not _NAME.fullmatch(name)]
    if names:
        raise ConfigurationError(
            "The name of an own set must consist of letters, digits, _ and -.",
            f"These do not: {listed(map(repr, names))}.",
            "Choose other names in `gate_on`.",
        )
    own_sets = {name: load_own_set(path, label_map) for name, path in gate_on.items()}
    for name, reviews in own_sets.items():
        positives = int((reviews.labels == 1).sum())
        if len(reviews) < LEAST_OWN_ROWS or not 0 < positives < len(reviews):
            raise BadDataError(
                f"An own set must have at least {LEAST_OWN_ROWS} labeled reviews, of both labels.",
                f"'{name}' has {len(reviews) - positives:,} negative and {positives:,} positive "
                "ones.",
                "Label more reviews, or leave the set out of `gate_on`.",
            )
    return own_sets


def check_unlike(own_sets: OwnSets, split: Reviews, gates: Gates | None = None) -> None:
    """Check that own sets are not made of the reviews of a split.

    Args:
        own_sets: The own sets.
        split: The split.
        gates: Their limit `learned` holds; None for the defaults.

    Raises:
        ConfigurationError: Too many reviews of an own set are also in the split.
    """
    if not own_sets:
        return
    fingerprints = fingerprints_of([split.table])
    for name, reviews in own_sets.items():
        known = int(known_rows(reviews.table, fingerprints).sum())
        most = (gates or Gates()).on(name).learned
        if known / len(reviews) > most:
            raise ConfigurationError(
                "An own set must consist of other reviews than those for training and the test "
                f"split; at most {most:.2%} may be the same.",
                f"Of {counted(len(reviews), 'review')} of '{name}', {known:,} are also in the "
                f"{split.split} split.",
                "Choose reviews for `gate_on` that are in neither.",
            )


def score_own_sets(scorer: Scorer, own_sets: OwnSets) -> dict[str, Scored]:
    """Score own sets with a model."""
    bundle = scorer.bundle
    return {
        name: Scored(
            bundle.model_id,
            scorer.probabilities(reviews.table[TEXT]).to_numpy(),
            known_rows(reviews.table, bundle.learned),
        )
        for name, reviews in own_sets.items()
    }


def unseen(new: Scored, old: Scored) -> NDArray[np.bool_]:
    """The reviews that neither model was trained on; all, if there are fewer than two."""
    rows = ~(new.learned | old.learned)
    return rows if rows.sum() > 1 else np.ones_like(rows)


def evaluate_own_set(name: str, reviews: Reviews, new: Scored, old: Scored) -> OwnSet:
    """Evaluate a model on an own set, and compare it with the champion.

    Args:
        name: The name of the set.
        reviews: Its reviews.
        new: What the model makes of them.
        old: What the champion makes of them; there is no comparison if that is the same model.
    """
    rows = unseen(new, old)
    accuracy, log_loss = accuracy_and_log_loss(reviews.labels[rows], new.probabilities[rows])
    beside = None if old.model_id == new.model_id else _compared(name, reviews, new, old)
    return OwnSet(
        name=name,
        rows=len(reviews),
        unseen=int(np.count_nonzero(~(new.learned | old.learned))),
        learned=int(new.learned.sum()),
        left_out=dict(reviews.left_out),
        fingerprint=reviews.fingerprint,
        accuracy=accuracy,
        log_loss=log_loss,
        champion=old.model_id if beside else None,
        champion_accuracy=beside.champion_accuracy if beside else None,
        difference=Figure(beside.difference, beside.low, beside.high) if beside else None,
    )


def compare_on_own_set(
    name: str, reviews: Reviews, new: Scored, old: Scored, fixed: Scored | None
) -> OwnComparison:
    """Compare a model on an own set with the champion and with a fixed model.

    Args:
        name: The name of the set.
        reviews: Its reviews.
        new: What the model makes of them.
        old: What the champion makes of them.
        fixed: What the fixed model makes of them; None if that is one of the two.
    """
    called = f"own set {name}"
    reference = None
    if fixed:
        reference = _compared(f"{called}: reference {fixed.model_id}", reviews, new, fixed)
    return OwnComparison(
        evaluate_own_set(name, reviews, new, old), _compared(called, reviews, new, old), reference
    )


def _compared(name: str, reviews: Reviews, new: Scored, old: Scored) -> Comparison:
    rows = unseen(new, old)
    return compare(name, reviews.labels[rows], new.probabilities[rows], old.probabilities[rows])
