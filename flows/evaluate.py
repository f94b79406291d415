"""The flow `evaluate-imdb`: evaluate a model on the IMDB test split."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from imdb_classifier import tasks


@flow(name="evaluate-imdb", flow_run_name="evaluate {model}", persist_result=False)
def evaluate_imdb(
    model: str = "@champion",
    data: str | None = None,
    registry: str | None = None,
    output: str | None = None,
    gate_on: dict[str, str] | None = None,
    label_map: dict[str, str] | None = None,
) -> State[Any]:
    """Evaluate a model on the IMDB test split and publish the report.

    Args:
        model: @champion, @challenger, @previous, a version's id, or a bundle's path.
        data: IMDB reviews: a Parquet folder, the Stanford archive or its folder, a URI, 'keras' or
            'aclimdb'. Default: IMDB_CLASSIFIER_DATA, else the downloaded copy.
        registry: Folder of the model registry, local or in an object store. Default:
            IMDB_CLASSIFIER_REGISTRY, else a folder in your home directory.
        output: Folder for the report. Default: in reports/ of the registry, one folder for each
            model and test split.
        gate_on: Labeled reviews of your own to evaluate the model on besides the IMDB test split:
            a name of your choice, and Parquet files with the columns text and label.
        label_map: What the labels of your own files mean: positive, negative or unlabeled, such as
            {"1": "negative", "3": "unlabeled", "5": "positive"}. Default: 0 and 1, true and false,
            or negative and positive.
    """
    resolved = tasks.resolve_model(model, registry, allow_unapproved=True)
    tasks.name_run("evaluate", resolved["model_id"])
    evaluation = tasks.evaluate_model(resolved["path"], data, registry, output, gate_on, label_map)
    message = (
        f"{evaluation['model_id']} labels {evaluation['accuracy']:.2%} of {evaluation['rows']:,} "
        f"test rows correctly. Report: {evaluation['report']}"
    )
    return Completed(message=message, data=evaluation)
