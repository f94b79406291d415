"""The flow `promote-model`: promote a version, or roll back to the previous champion."""

from __future__ import annotations

from typing import Any, Literal

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from imdb_classifier import tasks


@flow(name="promote-model", flow_run_name="{action} {model}", persist_result=False)
def promote_model(
    action: Literal["promote", "rollback"] = "promote",
    model: str = "@challenger",
    data: str | None = None,
    registry: str | None = None,
    gates: dict[str, float] | None = None,
    batch: str | None = None,
    text_column: str = "text",
    reference: str | None = None,
    gate_on: dict[str, str] | None = None,
    label_map: dict[str, str] | None = None,
) -> State[Any]:
    """Make a version the champion if it passes every promotion check, or roll back.

    If the model is refused, the run completes as NotPromoted. A rollback makes the previous
    champion the champion again, without checks; of the other parameters, it uses only registry.

    Args:
        action: What to do: promote checks and promotes a version, rollback returns to @previous.
        model: The version to promote: its id or @challenger.
        data: IMDB reviews: a Parquet folder, the Stanford archive or its folder, a URI, 'keras' or
            'aclimdb'. Default: IMDB_CLASSIFIER_DATA, else the downloaded copy.
        registry: Folder of the model registry, local or in an object store. Default:
            IMDB_CLASSIFIER_REGISTRY, else a folder in your home directory.
        gates: Limits of your own: accuracy and accuracy_gained (at least), log_loss,
            calibration_error, accuracy_lost, behavior_lost, label_changes and learned (at most).
            For a set in gate_on: NAME.accuracy, NAME.accuracy_gained, NAME.accuracy_lost and
            NAME.learned.
        batch: Unlabeled Parquet files in which few labels may change.
        text_column: Text column of the files in batch.
        reference: Fixed model to compare with besides the champion: a version's id or the path of
            a bundle. Default: the bundled model.
        gate_on: Labeled reviews of your own to evaluate the model on besides the IMDB test split:
            a name of your choice, and Parquet files with the columns text and label.
        label_map: What the labels of your own files mean: positive, negative or unlabeled, such as
            {"1": "negative", "3": "unlabeled", "5": "positive"}. Default: 0 and 1, true and false,
            or negative and positive.
    """
    if action == "rollback":
        back = tasks.roll_back(registry)
        tasks.name_run("rollback to", back["champion"])
        return Completed(message=back["reason"], data=back)
    version = tasks.resolve_model(model, registry, allow_unapproved=True)["model_id"]
    tasks.name_run("promote", version)
    result = tasks.promote_model(
        version, data, registry, gates, batch, text_column, reference, gate_on, label_map
    )
    if not result["promote"]:
        tasks.name_run("promote (refused)", version)
    name = "Completed" if result["promote"] else "NotPromoted"
    return Completed(name=name, message=result["reason"], data=result)
