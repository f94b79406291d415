"""The flow `adapt-model`: adapt a model to labeled texts of one's own, and promote it."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from imdb_classifier import tasks


@flow(name="adapt-model", flow_run_name="adapt {model}", persist_result=False)
def adapt_model(
    labeled: str,
    model: str = "@champion",
    label_map: dict[str, str] | None = None,
    data: str | None = None,
    registry: str | None = None,
    gates: dict[str, float] | None = None,
    batch: str | None = None,
    text_column: str = "text",
    reference: str | None = None,
    gate_on: dict[str, str] | None = None,
) -> State[Any]:
    """Adapt a model to your own texts, and make it the champion if it passes every promotion check.

    All parameters are checked first. If no change is shown to help on the labels, the run completes
    as NothingHelped and nothing is registered; if the model is refused, as NotPromoted.

    Args:
        labeled: Labeled Parquet files of your own: at least 50 rows, with the columns text and
            label.
        model: @champion, @challenger, @previous, a version's id, or a bundle's path.
        label_map: What the labels of your own files mean: positive, negative or unlabeled, such as
            {"1": "negative", "3": "unlabeled", "5": "positive"}. Default: 0 and 1, true and false,
            or negative and positive.
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
    """
    tasks.check_promotion(data, registry, gates, batch, text_column, reference, gate_on, label_map)
    adapted = tasks.adapt_model(labeled, model, label_map, data, registry, gate_on)
    tasks.name_run("adapt", adapted["base"])
    if adapted["change"] == "none":
        return Completed(
            name="NothingHelped",
            message=f"No change was shown to help on the labels: {adapted['base']} stays as it is.",
            data=adapted,
        )
    decision = tasks.promote_model(
        adapted["model_id"],
        data,
        registry,
        gates,
        batch,
        text_column,
        reference,
        gate_on,
        label_map,
    )
    # The history of decisions in the UI lists runs by name.
    verdict = "promoted" if decision["promote"] else "refused"
    tasks.name_run(f"adapt ({verdict}):", adapted["model_id"])
    name = "Completed" if decision["promote"] else "NotPromoted"
    return Completed(name=name, message=decision["reason"], data={**adapted, **decision})
