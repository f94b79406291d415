"""Tasks that change which model is the champion: promote and roll back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from prefect import get_run_logger, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from imdb_classifier.pipeline.outcomes import (
    PromotionOutcome,
    RollbackOutcome,
    already_champion,
)
from imdb_classifier.registry.versions import Registry
from imdb_classifier.schema import TEXT
from imdb_classifier.tasks.artifacts import Stages, artifact_key, publish
from imdb_classifier.tasks.events import deployment_name, emit, requested_by
from imdb_classifier.tasks.failures import RETRIES, without_texts

PROMOTION_KEY: Final = "imdb-promotion"
_PROMOTED: Final = "model.promoted"


@task(name="check-promotion", cache_policy=NO_CACHE, persist_result=False, **RETRIES)
@without_texts
def check_promotion(
    data: str | None,
    registry: str | None = None,
    gates: Mapping[str, float] | None = None,
    batch: str | None = None,
    text_column: str = TEXT,
    reference: str | None = None,
    gate_on: Mapping[str, str] | None = None,
    label_map: Mapping[str, str] | None = None,
) -> None:
    """Check, before a model is trained, that `promote_model` can decide on it with these arguments.

    Args:
        data: Where the test reviews are, see `imdb_classifier.load_reviews`.
        registry: The registry's folder; None as in `Registry.at`.
        gates: Limits of `Gates` by name.
        batch: Unlabeled Parquet files in which few labels may change.
        text_column: The text column of these files.
        reference: A fixed model to compare with besides the champion: a version's id or the path of
            a bundle; None for the bundled model.
        gate_on: Labeled reviews of the user's own to evaluate on besides, by names for the sets:
            Parquet files with the columns text and label, or folders of them.
        label_map: What the labels of the user's own files mean, such as ``{"1": "negative", "5":
            "positive"}``; None if they are 0 and 1, true and false, or positive and negative.

    Raises:
        ConfigurationError: There is no gate of that name, or its value is out of range.
        ImdbClassifierError: The champion, the test reviews, own sets or the batch cannot be loaded.
    """
    from imdb_classifier.evaluation.promotion import Gates
    from imdb_classifier.pipeline.promote import check_promotion as check

    Gates.of(gates or {}, gate_on or ())
    check(Registry.at(registry), data, batch, text_column, reference, gate_on, label_map)


@task(name="promote-model", cache_policy=NO_CACHE, persist_result=False)
@without_texts
def promote_model(
    model: str,
    data: str | None,
    registry: str | None = None,
    gates: Mapping[str, float] | None = None,
    batch: str | None = None,
    text_column: str = TEXT,
    reference: str | None = None,
    gate_on: Mapping[str, str] | None = None,
    label_map: Mapping[str, str] | None = None,
) -> PromotionOutcome:
    """Make a model the champion if it passes every check, and publish the decision.

    If it is the champion already, nothing is decided, published or changed.

    Args:
        model: A version's id or ``@challenger``.
        data: Where the test reviews are, see `imdb_classifier.load_reviews`.
        registry: The registry's folder; None as in `Registry.at`.
        gates: Limits of `Gates` by name, instead of the defaults.
        batch: Unlabeled Parquet files in which few labels may change.
        text_column: The text column of these files.
        reference: A fixed model to compare with besides the champion: a version's id or the path of
            a bundle; None for the bundled model.
        gate_on: Labeled reviews of the user's own to evaluate on besides, by names for the sets:
            Parquet files with the columns text and label, or folders of them.
        label_map: What the labels of the user's own files mean, such as ``{"1": "negative", "5":
            "positive"}``; None if they are 0 and 1, true and false, or positive and negative.

    Returns:
        promote (whether it is the champion now), reason, challenger and champion (ids),
        challenger_accuracy and champion_accuracy (on the test rows, in [0, 1]), and rows.

    Raises:
        ChampionChangedError: Other runs kept changing the champion; nothing was decided.
        ImdbClassifierError: The test reviews, own sets or the batch cannot be loaded.
    """
    from imdb_classifier.evaluation.promotion import Gates
    from imdb_classifier.evaluation.report import render_decision
    from imdb_classifier.pipeline.promote import decide_promotion

    where = Registry.at(registry)
    challenger = where.load(model)
    decision = decide_promotion(
        challenger,
        where,
        data,
        Gates.of(gates or {}, gate_on or ()),
        batch,
        text_column,
        reference,
        requested_by(),
        Stages(),
        gate_on,
        label_map,
    )
    if decision is None:
        outcome = already_champion(challenger.model_id)
        get_run_logger().info("%s", outcome["reason"])
        return outcome
    get_run_logger().info("%s", decision.reason)
    publish(
        "The promotion decision",
        create_markdown_artifact,
        key=artifact_key(PROMOTION_KEY, deployment_name()),
        markdown=render_decision(decision),
        description=f"{'promoted' if decision.promote else 'refused'}: "
        f"{decision.overall.challenger_accuracy:.1%}, {100 * decision.overall.difference:+.1f} "
        f"points. Stored in {where.decision_file(decision.challenger)}",
    )
    emit(
        _PROMOTED if decision.promote else "model.refused",
        "model",
        decision.challenger,
        decision.challenger,
        {
            "champion": decision.champion,
            "accuracy": decision.overall.challenger_accuracy,
            "champion_accuracy": decision.overall.champion_accuracy,
            "rows": decision.overall.rows,
            "failed_checks": [check.name for check in decision.checks if not check.passed],
        },
    )
    return {
        "promote": decision.promote,
        "reason": decision.reason,
        "challenger": decision.challenger,
        "champion": decision.champion,
        "challenger_accuracy": decision.overall.challenger_accuracy,
        "champion_accuracy": decision.overall.champion_accuracy,
        "rows": decision.overall.rows,
    }


@task(name="roll-back", cache_policy=NO_CACHE, persist_result=False)
@without_texts
def roll_back(registry: str | None = None) -> RollbackOutcome:
    """Make the previous champion the champion again, without checks, and publish the change.

    Args:
        registry: The registry's folder; None as in `Registry.at`.

    Returns:
        reason, and champion and previous (ids, after the change).

    Raises:
        NoInputError: There is no previous champion.
        BundleError: The previous champion is damaged.
        ChampionChangedError: Another run has changed the champion meanwhile; nothing is done.
        CannotWriteError: The registry cannot be written.
    """
    where = Registry.at(registry)
    champion, previous = where.roll_back(requested_by())
    reason = f"Rolled back: {champion} is the champion again, {previous} the previous one."
    get_run_logger().info("%s", reason)
    publish(
        "The rollback",
        create_markdown_artifact,
        key=artifact_key(PROMOTION_KEY, deployment_name()),
        markdown=f"# Rolled back: {champion}\n\n{reason}\n\nNo checks were made.\n",
        description=f"rolled back to {champion}",
    )
    emit(_PROMOTED, "model", champion, champion, {"champion": previous, "rolled_back": True})
    return {"reason": reason, "champion": champion, "previous": previous}
