"""What tasks return to flows: plain dicts, for a model never crosses a task's border."""

from __future__ import annotations

from typing import Any, TypedDict


class ResolvedModel(TypedDict):
    """A model that all later tasks of a run use.

    Attributes:
        model_id: Its id.
        model_hash: SHA-256 (hexadecimal) of its content.
        path: Its bundle's folder.
    """

    model_id: str
    model_hash: str
    path: str


class PlannedModel(TypedDict):
    """What a model is going to be trained on, and whether it has been.

    Attributes:
        reviews: The reviews: source, rows, left_out (rows by reason), fingerprint, and
            overlap_with_test; for a recipe with teachers, the same for the unlabeled ones.
        run: The name of the training run.
        trained: The id of a model trained on the same reviews with the same recipe and seed, or
            None.
        undecided: Whether that model still awaits the decision on its promotion.
    """

    reviews: dict[str, Any]
    run: str
    trained: str | None
    undecided: bool


class EvaluatedModel(TypedDict):
    """A model's result on the test split.

    Attributes:
        model_id: Its id.
        accuracy: Share of the test rows labeled correctly, in [0, 1].
        rows: Number of test rows.
        report: Folder of the report.
    """

    model_id: str
    accuracy: float
    rows: int
    report: str


class AdaptationOutcome(TypedDict):
    """What adapting a model came to.

    Attributes:
        model_id: The id of the registered model; that of the base if nothing was shown to help.
        base: The id of the model that it came from.
        change: What was changed: none, bias and scale, or n-grams.
        accuracy: Share of the labels that are right in cross-validation, in [0, 1].
        log_loss: Mean negative log-likelihood (nats) of the labels in cross-validation.
    """

    model_id: str
    base: str
    change: str
    accuracy: float
    log_loss: float


class PromotionOutcome(TypedDict):
    """The decision on a model.

    Attributes:
        promote: Whether the model is the champion now.
        reason: The decision as one sentence, and what was unusual about it.
        challenger: The model's id.
        champion: The id of the model that it was compared with; its own if it was the champion
            already, and nothing was decided.
        challenger_accuracy: Share of the rows that the model labels correctly, in [0, 1]; None
            if nothing was decided.
        champion_accuracy: The same of the model that it was compared with.
        rows: Number of test rows, without those that either model was trained on; 0 if nothing was
            decided.
    """

    promote: bool
    reason: str
    challenger: str
    champion: str
    challenger_accuracy: float | None
    champion_accuracy: float | None
    rows: int


def already_champion(model_id: str) -> PromotionOutcome:
    """Return the outcome for a model that is the champion already."""
    return {
        "promote": True,
        "reason": f"{model_id} is the champion already; nothing was decided.",
        "challenger": model_id,
        "champion": model_id,
        "challenger_accuracy": None,
        "champion_accuracy": None,
        "rows": 0,
    }


class RollbackOutcome(TypedDict):
    """A return to the previous champion.

    Attributes:
        reason: What was done, as one sentence.
        champion: The id of the champion now.
        previous: The id of the champion before.
    """

    reason: str
    champion: str
    previous: str


class PruneOutcome(TypedDict):
    """What was deleted of a registry, the oldest versions and trainings first.

    Attributes:
        pruned: The ids of versions.
        trainings: The names of interrupted trainings.
        leftovers: The names of incomplete versions, and of records of versions that are gone.
    """

    pruned: list[str]
    trainings: list[str]
    leftovers: list[str]
