"""Evaluation of a model on the test split and on sets of the user's own reviews."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from imdb_classifier.errors import BundleError, ConfigurationError, UnknownModelError
from imdb_classifier.evaluation.behavior.judgment import SuiteScores
from imdb_classifier.evaluation.metrics import evaluate
from imdb_classifier.evaluation.report import check_report_folder, write_report
from imdb_classifier.evaluation.result import Evaluation
from imdb_classifier.model.bundle import Bundle
from imdb_classifier.pipeline.evidence import (
    evaluate_distinct,
    evaluate_parts,
    evaluate_sample,
    evaluate_slices,
    judge_suite,
    score_suite,
)
from imdb_classifier.pipeline.own_sets import (
    OwnSets,
    Scored,
    check_unlike,
    evaluate_own_set,
    score_own_sets,
)
from imdb_classifier.progress import Progress
from imdb_classifier.registry.access import CHAMPION
from imdb_classifier.registry.versions import Registry
from imdb_classifier.reviews.dataset import Reviews
from imdb_classifier.reviews.load import load_reviews
from imdb_classifier.reviews.overlap import known_rows
from imdb_classifier.schema import TEXT
from imdb_classifier.scoring.explanations import explain
from imdb_classifier.scoring.scorer import Scorer
from imdb_classifier.storage.paths import StrPath
from imdb_classifier.text.batch_profile import BatchProfile
from imdb_classifier.text.encoding import TokenSequences, encode_reviews

logger = logging.getLogger(__name__)


def evaluate_bundle(
    bundle: Bundle,
    data: StrPath | None,
    *,
    download: bool = False,
    progress: Progress | None = None,
    threads: int | None = None,
    own_sets: OwnSets | None = None,
    registry: Registry | None = None,
) -> tuple[Evaluation, Reviews]:
    """Evaluate a model on the test split.

    Args:
        bundle: The model.
        data: Where the reviews are, see `load.load_reviews`.
        download: Whether they may be downloaded.
        progress: Called with the number of reviews evaluated.
        threads: Number of threads, as for `Scorer`.
        own_sets: Labeled reviews of the user's own, to evaluate the model on besides.
        registry: The registry with whose champion the model is compared on these.

    Returns:
        The evaluation and the test reviews.

    Raises:
        ConfigurationError: The reviews are Keras' token ids, and the model was trained on others;
            or an own set is made of test reviews.
        ImdbClassifierError: See `load.load_reviews`.
    """
    reviews = load_reviews(data, "test", download=download)
    own_sets = own_sets or {}
    check_unlike(own_sets, reviews)

    def scored(done: int) -> None:
        if progress is not None:
            progress("test reviews", done, len(reviews))

    examined = examine(bundle, reviews, scored, threads, own_sets)
    by_champion = examined.own_sets
    champion = _champion_of(registry) if own_sets and registry else None
    if champion and champion.model_hash != bundle.model_hash:
        with Scorer(champion, threads) as scorer:
            by_champion = score_own_sets(scorer, own_sets)
    results = tuple(
        evaluate_own_set(name, own_set, examined.own_sets[name], by_champion[name])
        for name, own_set in own_sets.items()
    )
    sequences = examined.untruncated.tails(bundle.recipe.encoding.sequence_length)
    return (
        replace(
            examined.evaluation,
            own_sets=results,
            parts=evaluate_parts(
                bundle, reviews.labels, sequences, examined.probabilities, threads
            ),
            slices=evaluate_slices(
                bundle, reviews.labels, examined.untruncated, examined.probabilities
            ),
            distinct=evaluate_distinct(reviews, examined.probabilities, examined.learned),
        ),
        reviews,
    )


def _champion_of(registry: Registry) -> Bundle | None:
    """Return the champion, or None if it is damaged or missing."""
    try:
        return registry.load(CHAMPION)
    except (BundleError, UnknownModelError) as error:
        logger.warning("Own sets are not compared with the champion: %s", error)
        return None


def evaluate_with_report(
    bundle: Bundle,
    data: StrPath | None,
    registry: Registry,
    output: StrPath | None = None,
    *,
    own_sets: OwnSets | None = None,
    progress: Progress | None = None,
) -> tuple[Evaluation, dict[str, str]]:
    """Evaluate a model on the test split, and write the report.

    A model is registered only once its report is there, so that no version lacks one.

    Args:
        bundle: The model.
        data: Where the reviews are, see `load.load_reviews`.
        registry: The registry that keeps the report.
        output: Another folder for the report; None for `Registry.report_folder`.
        own_sets: See `evaluate_bundle`.
        progress: Called with the number of reviews evaluated.

    Returns:
        The evaluation, and the paths of the report by file name.

    Raises:
        ConfigurationError: See `evaluate_bundle`.
        CannotWriteError: The folder cannot be written.
        ImdbClassifierError: See `load.load_reviews`.
    """
    if output is None:
        registry.check_writable()
    else:
        check_report_folder(output)
    evaluation, _ = evaluate_bundle(
        bundle, data, progress=progress, own_sets=own_sets, registry=registry
    )
    folder = output or registry.report_folder(bundle.model_id, evaluation.data["fingerprint"])
    return evaluation, write_report(evaluation, folder)


def worst_texts(evaluation: Evaluation, reviews: Reviews) -> list[str] | None:
    """Return the texts of an evaluation's worst rows, or None if the reviews have no text."""
    if TEXT not in reviews.table.column_names:
        return None
    column = reviews.table[TEXT]
    return [column[wrong.row].as_py() for wrong in evaluation.worst]


def words_that_moved(
    texts: Sequence[str], bundle: Bundle, threads: int | None = None
) -> list[list[tuple[str, float]]]:
    """Return the words that moved the score of each text most, with what they add to the log-odds.

    Args:
        texts: The texts.
        bundle: The model.
        threads: Number of threads, as for `Scorer`.
    """
    with Scorer(bundle, threads) as scorer:
        found = explain(texts, model=scorer)
    return [[(word.word, word.log_odds) for word in explanation.words] for explanation in found]


@dataclass(frozen=True)
class Examined(Scored):
    """A model's evaluation, with the probabilities and the encoded reviews.

    Attributes:
        evaluation: The evaluation.
        untruncated: The reviews, encoded with the model's vocabulary and not truncated.
        suite: What the model makes of the behavior suite.
        own_sets: What the model makes of the user's own reviews, by set.
    """

    evaluation: Evaluation
    untruncated: TokenSequences
    suite: SuiteScores
    own_sets: Mapping[str, Scored]


def examine(
    bundle: Bundle,
    reviews: Reviews,
    scored: Callable[[int], None] | None = None,
    threads: int | None = None,
    own_sets: OwnSets | None = None,
) -> Examined:
    """Evaluate a model on reviews.

    Args:
        bundle: The model.
        reviews: The reviews.
        scored: Called with the number of reviews that are scored so far, now and then.
        threads: Number of threads, as for `Scorer`.
        own_sets: Labeled reviews of the user's own, to score besides.

    Raises:
        ConfigurationError: The reviews are Keras' token ids, and the model was trained on others.
    """
    check_token_ids(bundle, reviews)
    encoding = bundle.recipe.encoding
    learned = known_rows(reviews.table, bundle.learned)
    untruncated = encode_reviews(reviews.table, bundle.vocabulary, encoding.untruncated)
    with Scorer(bundle, threads) as scorer:
        tails = untruncated.tails(encoding.sequence_length)
        probabilities = scorer.sequence_probabilities(tails, scored)
        by_kind = evaluate_sample(scorer)
        suite = score_suite(scorer)
        by_own_set = score_own_sets(scorer, own_sets or {})
    figures = evaluate(
        reviews.labels,
        probabilities,
        # The start token is not part of the review.
        untruncated.lengths - 1,
        data={
            "source": reviews.source,
            "split": reviews.split,
            "fingerprint": reviews.fingerprint,
            "left_out": dict(reviews.left_out),
            "learned": int(learned.sum()),
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
        behavior=judge_suite(suite),
    )
    return Examined(
        bundle.model_id, probabilities, learned, figures, untruncated, suite, by_own_set
    )


def check_token_ids(bundle: Bundle, reviews: Reviews) -> None:
    """Check that a model can score reviews.

    Raises:
        ConfigurationError: The reviews are Keras' token ids, and the model was trained on others.
    """
    if reviews.words is not None and bundle.manifest["data"]["source"] != "keras":
        raise ConfigurationError(
            "Keras' token ids can only be scored by a model that was trained on them.",
            f"{bundle.model_id} was trained on {bundle.manifest['data']['source']} reviews.",
            "Choose reviews with text for `data`.",
        )
