"""What tasks return to flows: plain dicts, for a model never crosses a task's border."""

from __future__ import annotations

from typing import TypedDict


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


class PromotionOutcome(TypedDict):
    """The decision on a model.

    Attributes:
        promote: Whether it was promoted.
        reason: The decision as one sentence.
        challenger: The model's id.
        champion: The id of the champion that it was compared with.
        challenger_accuracy: Share of the test rows that the model labels correctly, in [0, 1].
        champion_accuracy: The same of the champion.
        rows: Number of test rows.
    """

    promote: bool
    reason: str
    challenger: str
    champion: str
    challenger_accuracy: float
    champion_accuracy: float
    rows: int


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
